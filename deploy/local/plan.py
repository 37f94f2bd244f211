"""Which processes a local stack has, on which ports, and with which settings. Pure: nothing here starts anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.local.errors import LocalError
from deploy.machine.needs import LOOPBACK, PORTS, REPLICA_STEP, REPLICAS_MAX, chosen_port, read_port_offset
from shared.contracts.registry import SERVICES, ServiceName

__all__ = [
    "INHERITED",
    "PAYSTACK_SECRET_KEY",
    "PORTS",
    "REPLICA_STEP",
    "Secrets",
    "Wiring",
    "basic_environment",
    "catcher_environment",
    "read_port_offset",
    "read_replicas",
    "sandbox_environment",
    "service_environment",
]

PAYSTACK_SECRET_KEY = "sk_test_boxoffice"  # noqa: S105 - the sandbox's, printed in the documentation
# What any process needs of the launcher's environment, besides the settings with its own prefix.
INHERITED = frozenset(
    {
        "PATH",
        "PYTHONPATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)


@dataclass(frozen=True)
class Secrets:
    """What is generated once for a stack. The token keys, and the keys of ticketing, have the form `id:secret`."""

    token_keys: str
    service_token: str
    organiser_token: str
    operator_token: str
    gate_token: str
    supervisor_token: str
    ticketing_master_keys: str
    ticketing_signing_keys: str

    @property
    def admin_tokens(self) -> str:
        """`role:token` for every role, as services take them."""
        return (
            f"organiser:{self.organiser_token},operator:{self.operator_token},gate:{self.gate_token},"
            f"supervisor:{self.supervisor_token}"
        )


@dataclass(frozen=True)
class Wiring:
    """Everything a process of one stack must know of the others."""

    amqp_url: str
    database_urls: Mapping[ServiceName, str]
    secrets: Secrets
    port_offset: int = 0
    namespace: str = "boxoffice"
    inherited: Mapping[str, str] = field(default_factory=dict)
    """The launcher's environment. What it has with a service's prefix wins over what is computed here."""

    def port(self, name: str, replica: int = 0) -> int:
        """The port of one of `PORTS`; a setting of its own in the launcher's environment comes first."""
        return chosen_port(name, self.inherited, self.port_offset, replica)

    def url(self, name: str, replica: int = 0) -> str:
        return f"http://{LOOPBACK}:{self.port(name, replica)}"


def service_environment(service: ServiceName, replica: int, wiring: Wiring) -> dict[str, str]:
    """The whole environment of one replica of a service."""
    prefix = f"{service.upper()}_"
    settings = {**_common(service, wiring), **_own(service, wiring)}
    computed = {f"{prefix}{name}": value for name, value in settings.items()}
    chosen = {name: value for name, value in wiring.inherited.items() if name.startswith(prefix)}
    # Only the port is not simply taken over: replicas of one service must not share it.
    port = {f"{prefix}HTTP_PORT": str(wiring.port(service, replica))}
    return {**basic_environment(wiring.inherited), **computed, **chosen, **port}


def basic_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What every process gets: the path, the language, and OpenTelemetry's settings."""
    kept = {name: value for name, value in inherited.items() if name in INHERITED or name.startswith("OTEL_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _common(service: ServiceName, wiring: Wiring) -> dict[str, str]:
    database = {"DATABASE_URL": wiring.database_urls[service]} if service in wiring.database_urls else {}
    return {
        **database,
        "AMQP_URL": wiring.amqp_url,
        "HTTP_HOST": LOOPBACK,
        "NAMESPACE": wiring.namespace,
        "LOG_LEVEL": "info",
    }


def _own(service: ServiceName, wiring: Wiring) -> dict[str, str]:
    secrets, storefront = wiring.secrets, wiring.url("gateway")
    tokens = {"TOKEN_KEYS": secrets.token_keys}
    among = {"SERVICE_TOKEN": secrets.service_token}
    admin = {"ADMIN_TOKENS": secrets.admin_tokens}
    settings: dict[ServiceName, dict[str, str]] = {
        "gateway": {
            **tokens,
            **among,
            "ORDERS_URL": wiring.url("orders"),
            "INVENTORY_URL": wiring.url("inventory"),
            "PAYMENTS_PUBLIC_URL": wiring.url("payments"),
            "PUBLIC_URL": storefront,
        },
        "orders": {**among, **admin},
        "inventory": admin,
        "reaper": admin,
        "payments": {
            **tokens,
            **admin,
            "PAYSTACK_URL": wiring.url("sandbox"),
            "PAYSTACK_SECRET_KEYS": PAYSTACK_SECRET_KEY,
            "PUBLIC_URL": wiring.url("payments"),
            "STOREFRONT_URL": storefront,
        },
        "ticketing": {
            **admin,
            "MASTER_KEYS": secrets.ticketing_master_keys,
            "SIGNING_KEYS": secrets.ticketing_signing_keys,
        },
        "mailer": {
            **tokens,
            **admin,
            "SMTP_URL": f"smtp://{LOOPBACK}:{wiring.port('smtp')}",
            "SENDER": "Boxoffice <tickets@boxoffice.example>",
            "STOREFRONT_URL": storefront,
        },
    }
    return settings.get(service, {})


def sandbox_environment(wiring: Wiring, data_file: str) -> dict[str, str]:
    """The environment of the Paystack sandbox."""
    computed = {
        "SANDBOX_HOST": LOOPBACK,
        "SANDBOX_PORT": str(wiring.port("sandbox")),
        "SANDBOX_SECRET_KEY": PAYSTACK_SECRET_KEY,
        "SANDBOX_WEBHOOK_URL": f"{wiring.url('payments')}/webhooks/paystack",
        "SANDBOX_DATA_FILE": data_file,
    }
    return {**basic_environment(wiring.inherited), **computed, **_with_prefix("SANDBOX_", wiring.inherited)}


def catcher_environment(wiring: Wiring, data_file: str) -> dict[str, str]:
    """The environment of the mail catcher."""
    computed = {
        "CATCHER_HOST": LOOPBACK,
        "CATCHER_HTTP_PORT": str(wiring.port("catcher")),
        "CATCHER_SMTP_PORT": str(wiring.port("smtp")),
        "CATCHER_DATA_FILE": data_file,
    }
    return {**basic_environment(wiring.inherited), **computed, **_with_prefix("CATCHER_", wiring.inherited)}


def _with_prefix(prefix: str, environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(prefix)}


def read_replicas(texts: list[str]) -> dict[ServiceName, int]:
    """Replicas of every service from texts like `inventory=3,orders=2`; one of each unless said otherwise.

    Raises LocalError for anything else.
    """
    replicas: dict[ServiceName, int] = dict.fromkeys(SERVICES, 1)
    for part in (part.strip() for text in texts for part in text.split(",") if part.strip()):
        name, _, count = part.partition("=")
        service = next((service for service in SERVICES if service == name.strip()), None)
        if service is None or not count.strip().isdecimal() or not 1 <= int(count) <= REPLICAS_MAX:
            raise LocalError(
                f"Replicas are written as inventory=3, at most {REPLICAS_MAX} of a service of {', '.join(SERVICES)}; "
                f"{part!r} is not."
            )
        replicas[service] = int(count)
    return replicas
