"""Every service as a process: it waits for an engine that is absent; SIGTERM amid 300 orders loses none."""

import asyncio
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from deploy.local.databases import Templates
from deploy.local.engines import Engines
from deploy.local.ports import choose_free_ports
from shared.contracts.registry import CONSUMERS, SERVICES, ServiceName
from shared.messaging.consumer import PREFETCH
from shared.runtime.ids import new_id
from tests.conformance.test_consumers import sample
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire
from tests.integration.test_gateway_process import environment as gateway_environment
from tests.integration.test_service_processes import EFFECTS, connected, process_of
from tests.proxies import Proxy
from tests.services import SERVICES_WITH_DATABASE, environment_of, settings_class_of, through
from tests.waiting import until

ENGINES_OF = [("RabbitMQ", service) for service in SERVICES] + [
    ("PostgreSQL", service) for service in SERVICES_WITH_DATABASE
]
IN_FLIGHT = 300


@pytest.mark.parametrize(("absent", "service"), ENGINES_OF)
async def test_an_engine_that_is_absent_at_start_is_named_waited_for_and_found(
    engines: Engines, make_database: MakeDatabase, namespace: str, absent: str, service: ServiceName
) -> None:
    (port,) = choose_free_ports(1)
    async with (
        Proxy(engines.database_url if absent == "PostgreSQL" else engines.amqp_url) as proxy,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client,
    ):

        async def readiness() -> tuple[int, str]:
            async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status, await answer.text()

        amqp_url = proxy.url if absent == "RabbitMQ" else engines.amqp_url
        if service == "gateway":
            environment = gateway_environment(amqp_url, namespace, port)
        else:
            url = make_database(service)
            database_url = through(url, proxy.port) if absent == "PostgreSQL" else url
            environment = environment_of(service, database_url, amqp_url, namespace)
            environment[f"{service.upper()}_HTTP_PORT"] = str(port)
        async with process_of(service, environment) as one:
            line = await one.says(f"waiting for {absent}")
            assert line["level"] == "warning"

            # Payments goes on taking webhooks without the broker, so it alone stays in service.
            is_needed = (absent, service) != ("RabbitMQ", "payments")

            async def is_named() -> bool:
                status, reason = await readiness()
                return (status == 503 and absent in reason) or (status == 200 and not is_needed)

            await until(is_named, PATIENCE_SECONDS, f"not ready for want of {absent}")
            await proxy.open()

            async def is_ready() -> bool:
                return await readiness() == (200, "ready\n")

            await until(is_ready, PATIENCE_SECONDS, "ready again, alone")
            assert await one.terminate() == 0


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
async def test_sigterm_while_300_orders_are_in_flight_loses_none_and_ends_in_time(
    engines: Engines, make_database: MakeDatabase, templates: Templates, namespace: str, service: ServiceName
) -> None:
    """A rival's lock holds the first transaction open, so that the signal comes with every order on its way."""
    database_url = make_database(service)
    environment = environment_of(service, database_url, engines.amqp_url, namespace)
    model = CONSUMERS[service][0]
    orders = {new_id() for _ in range(IN_FLIGHT)}
    grace: float = settings_class_of(service).model_fields["drain_seconds"].default

    async with Wire(engines.amqp_url, namespace) as wire, connected(database_url) as connection:
        queue = wire.topology.queue(service)

        async def done() -> set[UUID]:
            return {row["order_id"] for row in await connection.fetch(EFFECTS[service])}

        for order_id in orders:
            await wire.publish(sample(model, order_id))
        rival = await asyncpg.connect(templates.admin(database_url))
        try:
            async with process_of(service, environment) as first:
                await rival.execute("BEGIN; LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
                await first.says("ready")

                async def is_held_up() -> bool:
                    return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

                await until(is_held_up, PATIENCE_SECONDS, "a transaction is under way")
                assert await done() == set()
                assert await wire.depth(queue) == IN_FLIGHT - PREFETCH
                ending = asyncio.create_task(first.terminate())
                await first.says("drain")
                await rival.execute("COMMIT")
                async with asyncio.timeout(grace):
                    assert await ending == 0
                assert not [line for line in first.lines if line["level"] in {"error", "critical"}]
        finally:
            await rival.close()
        finished = len(await done())
        assert 0 < finished < IN_FLIGHT, "what was in hand is finished, and nothing more is begun"
        assert await wire.depth(queue) == IN_FLIGHT - finished
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
        async with process_of(service, environment) as second:

            async def all_done() -> Any:
                return await done() == orders

            await until(all_done, PATIENCE_SECONDS, f"the {IN_FLIGHT - finished} orders that were left")
            assert await second.terminate() == 0
        assert await connection.fetchval("SELECT count(*) FROM inbox") == IN_FLIGHT
        assert await wire.depth(wire.topology.dead_queue(service)) == 0
