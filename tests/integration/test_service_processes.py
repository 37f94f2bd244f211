"""Every service as a process of its own: settings refused by name, JSON logs, and a drain that loses nothing."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from deploy.local.engines import Engines
from shared.contracts.registry import CONSUMERS, SERVICES, ServiceName
from shared.runtime.ids import new_id
from shared.runtime.settings import load_settings
from tests.conformance.test_consumers import sample
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire
from tests.proxies import Proxy
from tests.services import SERVICES_WITH_DATABASE, environment_of, settings_class_of, through
from tests.waiting import until

ROOT = Path(__file__).parents[2]
BASIC = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
IN_FLIGHT = 300


class ServiceProcess:
    """``boxoffice run NAME`` with its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def says(self, text: str) -> dict[str, Any]:
        """Wait for a log line whose event begins so."""

        def said() -> dict[str, Any] | None:
            return next((line for line in self.lines if line["event"].startswith(text)), None)

        line = await until(said, PATIENCE_SECONDS, f"a log line {text!r} in {self.lines}")
        assert line is not None
        return line

    async def terminate(self) -> int:
        """SIGTERM, then its exit code."""
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._reading
            return await self._process.wait()

    async def end(self) -> None:
        """Whatever happened before."""
        if self._process.returncode is None:
            self._process.kill()
        await self._reading
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(json.loads(line))


@asynccontextmanager
async def process_of(service: ServiceName, environment: dict[str, str]) -> AsyncIterator[ServiceProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "boxoffice", "run", service,
        env=BASIC | environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = ServiceProcess(process)
    try:
        yield running
    finally:
        await running.end()


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def refusal_of(service: ServiceName, environment: dict[str, str]) -> tuple[int | None, str]:
    """Exit code and standard error of a service that does not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "boxoffice", "run", service,
        env=BASIC | environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, error = await process.communicate()
    return process.returncode, error.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_missing_setting_refuses_to_start_and_is_named(service: ServiceName) -> None:
    prefix = service.upper()
    code, error = await refusal_of(service, {f"{prefix}_HTTP_PORT": "http", f"{prefix}_HTPP_HOST": "127.0.0.1"})
    assert code == 2
    assert f"{prefix}_AMQP_URL is not set\n" in error
    assert f"{prefix}_HTTP_PORT is wrong: " in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x"),
        ("AMQP_URL", "http://x"),
        ("NAMESPACE", "Box Office"),
        ("LOG_LEVEL", "loud"),
        ("DRAIN_SECONDS", "0"),
        ("DATABASE_CONNECTIONS", "1"),
        ("INBOX_RETENTION_SECONDS", "60"),
    ],
)
@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_a_wrong_setting_is_named(
    service: ServiceName, name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = service.upper()
    for key, text in environment_of(service, "postgresql://x@127.0.0.1/x").items():
        monkeypatch.setenv(key, text)
    assert load_settings(settings_class_of(service)) is not None
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(f"{prefix}_{name}", value)
    assert load_settings(settings_class_of(service)) is None
    assert f"{prefix}_{name} is wrong: " in capsys.readouterr().err
    monkeypatch.delenv(f"{prefix}_{name}")
    monkeypatch.setenv(f"{prefix}_DATABSE_URL", "x")
    load_settings(settings_class_of(service))
    assert f"{prefix}_DATABSE_URL is set but is no setting" in capsys.readouterr().err


#: What the service makes of its first type of message, by order: counted where nothing may be lost.
EFFECTS: dict[ServiceName, str] = {
    "orders": "SELECT order_id FROM orders",
    "inventory": "SELECT order_id FROM holds",
    "payments": "SELECT order_id FROM payments",
    "reaper": "SELECT order_id FROM deadlines",
    "ticketing": "SELECT order_id FROM orders",
    "mailer": "SELECT order_id FROM mails",
}


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
async def test_sigterm_with_300_orders_in_flight_loses_nothing(
    engines: Engines, make_database: MakeDatabase, namespace: str, service: ServiceName
) -> None:
    database_url = make_database(service)
    environment = environment_of(service, database_url, engines.amqp_url, namespace)
    model = CONSUMERS[service][0]
    orders = [new_id() for _ in range(IN_FLIGHT)]

    async def done() -> set[UUID]:
        return {row["order_id"] for row in await connection.fetch(EFFECTS[service])}

    async with Wire(engines.amqp_url, namespace) as wire, connected(database_url) as connection:
        async with process_of(service, environment) as first:
            line = await first.says("ready")
            assert line["service"] == service
            for order_id in orders[:100]:
                await wire.publish(sample(model, order_id))
            await until(done, PATIENCE_SECONDS, "some of the orders are through")
            # All at once, so that the signal comes while they are on their way.
            flood = asyncio.gather(*(wire.publish(sample(model, order_id)) for order_id in orders[100:]))
            code = await first.terminate()
            await flood
            assert code == 0
            assert {line["service"] for line in first.lines} == {service}, "every line is JSON and names the service"
            assert first.lines[-1]["event"] == "drained"
            assert not [line for line in first.lines if line["level"] in {"error", "critical"}]
        left = IN_FLIGHT - len(await done())
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
        async with process_of(service, environment) as second:

            async def all_done() -> bool:
                return await done() == set(orders)

            await until(all_done, PATIENCE_SECONDS, f"the {left} orders that were left")
            assert await second.terminate() == 0
        assert await connection.fetchval("SELECT count(*) FROM inbox") == IN_FLIGHT
        assert await wire.depth(wire.topology.dead_queue(service)) == 0


async def test_a_process_without_engines_says_what_it_waits_for_and_drains_at_once(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async with Proxy(engines.database_url) as database, Proxy(engines.amqp_url) as broker:
        url = through(make_database("reaper"), database.port)
        async with process_of("reaper", environment_of("reaper", url, broker.url, namespace)) as one:
            assert (await one.says("waiting for PostgreSQL"))["level"] == "warning"
            assert "Connect" in (await one.says("waiting for RabbitMQ"))["error"]
            await database.open()
            await broker.open()
            await one.says("ready")
            await database.shut()
            await broker.shut()
            assert await one.terminate() == 0
