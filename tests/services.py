"""Any service by its name: settings as the local stack would give them, the service itself, and its tables."""

import importlib
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from deploy.local.plan import Wiring, service_environment
from shared.contracts.registry import ServiceName
from shared.messaging.topology import durable_consumers
from shared.runtime.service import Service
from shared.runtime.settings import DatabaseSettings
from tests.system import SECRETS

#: Every service with a database. One that cannot be imported fails its tests: none is left out in silence.
SERVICES_WITH_DATABASE: tuple[ServiceName, ...] = durable_consumers()
NOWHERE = "amqp://nobody@127.0.0.1:1/"


def environment_of(
    service: ServiceName, database_url: str, amqp_url: str = NOWHERE, namespace: str = "boxoffice"
) -> dict[str, str]:
    """The variables with the service's prefix that the local stack would set; the port is a free one."""
    wiring = Wiring(amqp_url=amqp_url, database_urls={service: database_url}, secrets=SECRETS, namespace=namespace)
    prefix = f"{service.upper()}_"
    computed = service_environment(service, 0, wiring)
    return {name: value for name, value in computed.items() if name.startswith(prefix)} | {f"{prefix}HTTP_PORT": "0"}


def settings_class_of(service: ServiceName) -> type[DatabaseSettings]:
    """The class that reads the service's settings."""
    module = importlib.import_module(f"services.{service}.settings")
    (found,) = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, DatabaseSettings) and value is not DatabaseSettings
    ]
    return found


def settings_of(
    service: ServiceName, database_url: str, amqp_url: str = NOWHERE, namespace: str = "boxoffice", **changes: Any
) -> DatabaseSettings:
    """The service's settings, with some of them changed."""
    prefix = f"{service.upper()}_"
    environment = environment_of(service, database_url, amqp_url, namespace)
    fields: dict[str, Any] = {name.removeprefix(prefix).lower(): value for name, value in environment.items()}
    return settings_class_of(service)(**fields | changes)


def build_of(service: ServiceName, settings: DatabaseSettings) -> Service:
    """The service, not yet started."""
    built: Service = importlib.import_module(f"services.{service}.service").build(settings)
    return built


def through(url: str, port: int) -> str:
    """The URL with another port on this machine: a proxy's."""
    parts = urlsplit(url)
    login, separator, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{separator}127.0.0.1:{port}"))
