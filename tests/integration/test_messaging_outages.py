"""Engines that go away: everything waits, no try is spent, nothing is lost and nothing happens twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import pytest

from deploy.local.databases import Templates
from deploy.local.engines import Engines
from services.orders.service import build
from shared.messaging.delivery import Delivery
from shared.messaging.verdicts import MAX_IN_HAND_SECONDS
from shared.runtime.service import Service
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, Wire, delivery_of, running
from tests.integration.messaging_support import checkouts, order_ids, orders_are, orders_service, value
from tests.proxies import Proxy
from tests.samples import checkout
from tests.services import settings_of, through
from tests.waiting import until


@asynccontextmanager
async def proxies(engines: Engines) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """One for the database, one for the broker; both open."""
    async with Proxy(engines.database_url) as database, Proxy(engines.amqp_url) as broker:
        await database.open()
        await broker.open()
        yield database, broker


async def nothing_was_spent(service: Service, wire: Wire) -> None:
    """No message was tried again by way of a retry queue, split, or given up."""
    for queue in wire.topology.queues():
        if queue.startswith(wire.topology.queue("orders")):
            assert await wire.depth(queue) == 0, queue
    metrics = service.metrics.render().decode()
    assert "boxoffice_messages_retried_total{" not in metrics
    assert "boxoffice_messages_dead_total{" not in metrics
    assert "boxoffice_messages_split_total 0.0" in metrics


async def test_messages_wait_for_postgresql_and_spend_no_try(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async with proxies(engines) as (database, _), Wire(engines.amqp_url, namespace) as wire:
        url = through(make_database("orders"), database.port)
        service = orders_service(url, engines.amqp_url, namespace)
        good = checkouts(60)
        async with running(service):
            await wire.publish(good[0])
            await orders_are(service, 1)
            await database.shut()
            for one in good[1:]:
                await wire.publish(one)

            async def are_in_hand() -> bool:
                return await wire.depth(wire.topology.queue("orders")) <= 59 - 50

            await until(are_in_hand, PATIENCE_SECONDS, "the consumer holds what it may")
            assert await service.why_not_ready() == "PostgreSQL does not answer"
            await database.open()
            await orders_are(service, 60)
            assert await order_ids(service) == {one.order_id for one in good}
            assert await value(service, "SELECT count(DISTINCT received_at) FROM inbox") <= 12, "together, as they came"
            assert await service.why_not_ready() is None
        await nothing_was_spent(service, wire)


async def test_backends_that_are_ended_in_mid_transaction_lose_nothing(
    engines: Engines, make_database: MakeDatabase, namespace: str, templates: Templates
) -> None:
    url = make_database("orders")
    service = orders_service(url, engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        admin = await asyncpg.connect(templates.admin(url))
        good = checkouts(400)
        for start in range(0, 400, 20):
            await wire.publish(*good[start : start + 10])
            await wire.publish(*good[start + 10 : start + 20])
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await admin.close()
        await orders_are(service, 400)
        assert await value(service, "SELECT sum(event_count) FROM outbox WHERE type = 'order.created.v1'") == 400
        await nothing_was_spent(service, wire)


async def test_broker_connections_that_break_under_load_lose_nothing_and_double_nothing(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async with proxies(engines) as (_, broker), Wire(engines.amqp_url, namespace) as wire:
        service = orders_service(make_database("orders"), broker.url, namespace)
        good = checkouts(400)
        async with running(service):
            for number, one in enumerate(good):
                await wire.publish(one)
                if number % 130 == 65:
                    broker.cut()
            await orders_are(service, 400)
            assert broker.connections >= 4, "they did break"

            async def all_sent() -> bool:
                return bool(await value(service, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0)

            await until(all_sent, PATIENCE_SECONDS, "an empty outbox")
            assert await order_ids(service) == {one.order_id for one in good}
            assert await value(service, "SELECT sum(event_count) FROM outbox WHERE type = 'order.created.v1'") == 400
            assert "boxoffice_messages_dead_total{" not in service.metrics.render().decode()


async def test_a_message_in_hand_for_too_long_waits_in_a_retry_queue_and_spends_no_try(
    make_database: MakeDatabase,
) -> None:
    """Ten minutes into an outage, well before the broker takes the consumer for dead."""
    service = build(settings_of("orders", make_database("orders")))  # type: ignore[arg-type]

    def long_ago(one: Delivery) -> Delivery:
        one.arrived_at -= MAX_IN_HAND_SECONDS + 1
        return one

    async with Bench(service) as bench:
        old = [long_ago(delivery_of(checkout(), checkout())) for _ in range(3)]
        await service.database.close()
        assert [type(one).__name__ for one in await bench.outcomes(*old)] == ["Postpone"] * 3
        await service.database.open()
        assert [type(one).__name__ for one in await bench.outcomes(*old)] == ["Done"] * 3


@pytest.mark.parametrize("absent", ["PostgreSQL", "RabbitMQ"])
async def test_an_engine_that_is_absent_at_start_is_waited_for(
    engines: Engines, make_database: MakeDatabase, namespace: str, absent: str
) -> None:
    async with Proxy(engines.database_url) as database, Proxy(engines.amqp_url) as broker:
        late, there = (database, broker) if absent == "PostgreSQL" else (broker, database)
        await there.open()
        service = orders_service(through(make_database("orders"), database.port), broker.url, namespace)
        async with Wire(engines.amqp_url, namespace) as wire, aiohttp.ClientSession() as http:
            await wire.publish(checkout())
            await service.start()
            try:
                url = f"http://127.0.0.1:{service.http_port}"
                async with http.get(f"{url}/healthz") as answer:
                    assert answer.status == 200
                async with http.get(f"{url}/readyz") as answer:
                    assert answer.status == 503
                    assert absent in await answer.text() or absent == "RabbitMQ"
                await late.open()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await service.ready()
                await orders_are(service, 1)
                async with http.get(f"{url}/readyz") as answer:
                    assert (answer.status, await answer.text()) == (200, "ready\n")
            finally:
                await service.stop()


async def test_a_service_that_starts_before_the_migrations_waits_for_them(
    engines: Engines, make_database: MakeDatabase, namespace: str, templates: Templates
) -> None:
    url = make_database("orders")
    admin = await asyncpg.connect(templates.admin(url))
    await admin.execute("UPDATE _yoyo_migration SET migration_id = migration_id || ' later'")
    service = orders_service(url, engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire:
        await wire.publish(checkout())
        await service.start()
        try:
            await until(service.publisher.connected.is_set, PATIENCE_SECONDS, "the broker is there")
            assert await service.why_not_ready() is not None
            assert await wire.depth(wire.topology.queue("orders")) == 1, "it takes nothing that it could not handle"
            await admin.execute("UPDATE _yoyo_migration SET migration_id = replace(migration_id, ' later', '')")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await service.ready()
            await orders_are(service, 1)
        finally:
            await service.stop()
            await admin.close()


async def test_a_drain_while_postgresql_is_away_is_bounded_and_loses_nothing(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async with proxies(engines) as (database, _), Wire(engines.amqp_url, namespace) as wire:
        url = through(make_database("orders"), database.port)
        service = orders_service(url, engines.amqp_url, namespace, drain_seconds=2)
        async with running(service):
            await database.shut()
            await wire.publish(*checkouts(5))

            async def is_in_hand() -> bool:
                return await wire.depth(wire.topology.queue("orders")) == 0

            await until(is_in_hand, PATIENCE_SECONDS, "the message is in hand")
            async with asyncio.timeout(10):
                await service.stop()

        async def is_back() -> bool:
            return await wire.depth(wire.topology.queue("orders")) == 1

        await until(is_back, PATIENCE_SECONDS, "the message is in its queue again")
        await database.open()
        heir = orders_service(url, engines.amqp_url, namespace)
        async with running(heir):
            await orders_are(heir, 5)
