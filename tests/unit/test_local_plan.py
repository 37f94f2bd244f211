"""Which processes a local stack has, and what each is told."""

import importlib
import inspect

import pytest
from pydantic import ValidationError

from deploy.local.databases import WITH_DATABASE, database_name, url_of
from deploy.local.errors import LocalError
from deploy.local.plan import (
    PORTS,
    Secrets,
    Wiring,
    read_port_offset,
    read_replicas,
    sandbox_environment,
    service_environment,
)
from shared.contracts.registry import SERVICES, ServiceName
from shared.runtime.settings import ServiceSettings

SECRETS = Secrets(
    token_keys=f"k1:{'a' * 64}",
    service_token="service-token-of-a-test",
    organiser_token="organiser-token-of-a-test",
    operator_token="operator-token-of-a-test",
    gate_token="gate-token-of-a-test",
    supervisor_token="supervisor-token-of-a-test",
    ticketing_master_keys=f"k1:{'b' * 64}",
    ticketing_signing_keys=f"k1:{'c' * 64}",
)


def wiring(**inherited: str) -> Wiring:
    urls = {service: f"postgresql://{service}:x@127.0.0.1:1/{database_name(service)}" for service in WITH_DATABASE}
    return Wiring("amqp://u:p@127.0.0.1:2/", urls, SECRETS, port_offset=1000, inherited=inherited)


def settings_class(service: ServiceName) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    classes = [found for _, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == module.__name__]
    return next(found for found in classes if issubclass(found, ServiceSettings))


@pytest.mark.parametrize("service", SERVICES)
def test_service_starts_with_what_the_stack_tells_it(service: ServiceName, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        name: value
        for name, value in service_environment(service, 0, wiring()).items()
        if name.startswith(service.upper())
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    chosen = settings_class(service)
    try:
        chosen()
    except ValidationError as error:
        pytest.fail(f"{service} refuses: {error}")
    known = {f"{service}_{field}".upper() for field in chosen.model_fields}
    assert own.keys() <= known, "the stack sets what the service does not know"


def test_replicas_differ_in_their_port_only() -> None:
    first, third = (service_environment("inventory", replica, wiring()) for replica in (0, 2))
    assert {name for name in first if first[name] != third[name]} == {"INVENTORY_HTTP_PORT"}
    assert (first["INVENTORY_HTTP_PORT"], third["INVENTORY_HTTP_PORT"]) == ("9082", "9282")


def test_launchers_own_setting_wins() -> None:
    told = service_environment("orders", 1, wiring(ORDERS_PAY_WITHIN_SECONDS="8", ORDERS_HTTP_PORT="7000", HOME="/h"))
    assert told["ORDERS_PAY_WITHIN_SECONDS"] == "8"
    assert told["ORDERS_HTTP_PORT"] == "7100"
    assert told["HOME"] == "/h"


def test_service_gets_no_secret_of_another_nor_of_the_launcher() -> None:
    told = service_environment("reaper", 0, wiring(AWS_SECRET_ACCESS_KEY="x", ORDERS_DATABASE_URL="y"))
    assert "AWS_SECRET_ACCESS_KEY" not in told
    assert [name for name in told if name.startswith("ORDERS_")] == []


def test_everything_moves_by_the_offset_without_meeting() -> None:
    moved = [wiring().port(name, replica) for name in PORTS for replica in (0, 1, 8)]
    assert wiring().port("gateway") == 9080
    assert len(set(moved)) == len(moved)
    assert sandbox_environment(wiring(), "f")["SANDBOX_WEBHOOK_URL"] == "http://127.0.0.1:9081/webhooks/paystack"


@pytest.mark.parametrize("text", ["x", "1.5", "60000", "-8000", "999999999"])
def test_wrong_offset_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalError, match="BOXOFFICE_PORT_OFFSET"):
        read_port_offset({"BOXOFFICE_PORT_OFFSET": text})


def test_offset_is_zero_unless_set() -> None:
    assert read_port_offset({}) == 0
    assert read_port_offset({"BOXOFFICE_PORT_OFFSET": " 1000 "}) == 1000


def test_replicas_are_read_from_options_and_from_one_text() -> None:
    assert read_replicas(["inventory=3,orders=2", "mailer=1"]) == {
        **dict.fromkeys(SERVICES, 1),
        "inventory": 3,
        "orders": 2,
    }


@pytest.mark.parametrize(
    "text", ["inventory", "inventory=0", "inventory=-1", "inventory=x", "nobody=2", "inventory=10"]
)
def test_wrong_replicas_are_refused(text: str) -> None:
    with pytest.raises(LocalError, match="inventory=3"):
        read_replicas([text])


def test_database_url_keeps_host_and_quotes_what_must_be_quoted() -> None:
    url = url_of("postgresql://admin:a@127.0.0.1:5/postgres", "boxoffice_orders", user="u", password="p/@:")
    assert url == "postgresql://u:p%2F%40%3A@127.0.0.1:5/boxoffice_orders"
