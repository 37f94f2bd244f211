"""The gateway while the broker or other services are away, slow, or come back."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from deploy.local.engines import Engines
from services.gateway.service import build
from shared.contracts.gateway import CheckoutRequestedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.integration.gateway_support import (
    NOWHERE,
    Cable,
    Stack,
    gateway_settings,
    inventory_of,
    make_client_stack,
    make_stack,
    orders_of,
)
from tests.waiting import until

KEY = "key-0123456789abcdef"


@pytest.fixture
async def stack(engines: Engines, namespace: str, make_database: MakeDatabase) -> AsyncIterator[Stack]:
    async with make_stack(
        engines.amqp_url,
        namespace,
        orders_database=make_database("orders"),
        inventory_database=make_database("inventory"),
    ) as one:
        yield one


@pytest.fixture
async def cable(engines: Engines) -> AsyncIterator[Cable]:
    broker = urlsplit(engines.amqp_url)
    assert broker.hostname is not None
    one = Cable(broker.hostname, broker.port or 5672)
    await one.plug()
    yield one
    await one.pull()


def through(cable: Cable, amqp_url: str) -> str:
    user = urlsplit(amqp_url)
    return f"amqp://{user.username}:{user.password}@127.0.0.1:{cable.port}{user.path}"


async def test_a_checkout_without_the_broker_is_503_with_its_key_and_a_repeat_is_the_same_order(
    stack: Stack, cable: Cable
) -> None:
    tier = await stack.add_tier()
    async with stack.gateway(amqp_url=through(cable, stack.amqp_url), confirm_seconds=2) as gateway:
        await cable.pull()
        await until(lambda: not gateway.publisher.connected.is_set(), PATIENCE_SECONDS, "the broker is missed")
        refused = await stack.check_out((tier, 1))
        assert (refused.status, refused.json["code"]) == (503, "unavailable"), refused.text
        assert int(refused.headers["Retry-After"]) > 0
        key = refused.headers["Idempotency-Key"]
        assert refused.json["idempotency_key"] == key
        named = await stack.check_out((tier, 1), key=KEY)
        assert (named.status, named.json["idempotency_key"]) == (503, KEY)
        ready = await stack.call("GET", "/readyz")
        assert (ready.status, ready.text) == (503, "RabbitMQ is not connected\n")
        assert (await stack.call("GET", "/healthz")).status == 200
        assert await stack.count_orders() == 0

        await cable.plug()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gateway.ready()
        assert (await stack.call("GET", "/readyz")).status == 200
        first = await stack.check_out((tier, 1), key=key)
        again = await stack.check_out((tier, 1), key=key)
        assert (first.status, first.text) == (201, again.text)
        assert await stack.count_orders() == 1


async def test_a_known_order_is_answered_even_without_the_broker(stack: Stack, cable: Cable) -> None:
    tier = await stack.add_tier()
    async with stack.gateway(amqp_url=through(cable, stack.amqp_url), confirm_seconds=2) as gateway:
        first = await stack.check_out((tier, 1), key=KEY)
        assert first.status == 201
        await cable.pull()
        await until(lambda: not gateway.publisher.connected.is_set(), PATIENCE_SECONDS, "the broker is missed")
        again = await stack.check_out((tier, 1), key=KEY)
        assert (again.status, again.text) == (201, first.text)
        other = await stack.check_out((tier, 2), key=KEY)
        assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")


async def test_news_missed_during_a_broken_connection_is_read_afterwards(stack: Stack, cable: Cable) -> None:
    tier = await stack.add_tier()
    async with stack.gateway(amqp_url=through(cable, stack.amqp_url)) as gateway, stack.gateway() as other:
        listener = gateway.watches.listen(UUID(int=0))
        order = (await stack.check_out((tier, 1), gateway=other)).json
        listener.close()
        with gateway.watches.listen(UUID(order["order_id"])) as listener:
            await cable.pull()
            await until(lambda: not gateway.subscription.connected.is_set(), PATIENCE_SECONDS, "the cut is noticed")
            gone = await stack.call(
                "DELETE",
                f"/v1/orders/{order['order_id']}",
                gateway=other,
                headers={"Authorization": f"Bearer {order['order_token']}"},
            )
            assert gone.status == 200
            assert listener.view is None or listener.view.status == "pending", "the end was not missed"
            await cable.plug()
            async with asyncio.timeout(PATIENCE_SECONDS):
                view = await listener.until(lambda view: view.status == "cancelled")
            assert view is not None


async def test_an_order_whose_command_was_lost_is_asked_for_again(
    engines: Engines, namespace: str, make_database: MakeDatabase
) -> None:
    amqp_url = engines.amqp_url
    gateway = build(gateway_settings(amqp_url, namespace, ask_again_seconds=0.1, wait_seconds=0))
    async with Wire(amqp_url, namespace) as wire, running(gateway):
        orders = orders_of(amqp_url, namespace, make_database("orders"))
        inventory = inventory_of(amqp_url, namespace, make_database("inventory"))
        async with make_client_stack(amqp_url, namespace, orders, inventory) as stack:
            stack.gateways.append(gateway)
            accepted = await stack.check_out((UUID(int=1), 1))
            assert accepted.status == 202, accepted.text
            queue = await wire.channel.get_queue(wire.topology.queue("orders"))
            await queue.purge()
            async with running(orders, inventory):

                async def is_there() -> bool:
                    return await stack.count_orders() == 1

                await until(is_there, PATIENCE_SECONDS, "the command came again")
                await until(lambda: len(gateway.asking) == 0, PATIENCE_SECONDS, "the answer ends the asking")


async def test_asking_again_ends_after_its_time_and_forgets_the_oldest(engines: Engines, namespace: str) -> None:
    settings = gateway_settings(
        engines.amqp_url,
        namespace,
        ask_again_seconds=0.05,
        ask_again_for_seconds=0.5,
        unanswered_most=2,
        wait_seconds=0,
    )
    gateway = build(settings)
    async with Wire(engines.amqp_url, namespace) as wire, running(gateway):
        heard = await wire.overhear(CheckoutRequestedV1)
        async with make_client_stack(engines.amqp_url, namespace) as stack:
            stack.gateways.append(gateway)
            for _ in range(4):
                assert (await stack.check_out((UUID(int=1), 1))).status == 202
            assert len(gateway.asking) <= 2
            await until(lambda: len(gateway.asking) == 0, PATIENCE_SECONDS, "nobody asks for ever")
            assert gateway.watches.orders() == []
            assert heard.qsize() >= 6


async def test_a_checkout_that_waits_gets_the_answer_of_orders_that_come_late(
    engines: Engines, namespace: str, make_database: MakeDatabase
) -> None:
    orders = orders_of(engines.amqp_url, namespace, make_database("orders"))
    inventory = inventory_of(engines.amqp_url, namespace, make_database("inventory"))
    gateway = build(gateway_settings(engines.amqp_url, namespace))
    async with running(gateway), make_client_stack(engines.amqp_url, namespace, orders, inventory) as stack:
        stack.gateways.append(gateway)
        waiting = asyncio.create_task(stack.check_out((UUID(int=1), 1)))
        await until(lambda: len(gateway.asking) == 1, PATIENCE_SECONDS, "the broker has the checkout")
        async with running(orders, inventory):
            answer = await waiting
        assert (answer.status, answer.json["code"]) == (422, "unknown_tier")


async def test_the_wait_of_a_client_is_bounded_and_ends_in_202(engines: Engines, namespace: str) -> None:
    gateway = build(gateway_settings(engines.amqp_url, namespace, wait_seconds=0.1, wait_most_seconds=0.2))
    async with running(gateway), make_client_stack(engines.amqp_url, namespace) as stack:
        stack.gateways.append(gateway)
        for prefer in (None, "wait=1000", "wait=99999999999999999999999", "wait=nonsense"):
            answer = await stack.check_out((UUID(int=1), 1), prefer=prefer)
            assert answer.status == 202, answer.text


async def test_a_drain_finishes_200_open_checkouts_and_loses_none(
    engines: Engines, namespace: str, make_database: MakeDatabase
) -> None:
    orders = orders_of(engines.amqp_url, namespace, make_database("orders"))
    inventory = inventory_of(engines.amqp_url, namespace, make_database("inventory"))
    gateway = build(gateway_settings(engines.amqp_url, namespace))
    async with make_client_stack(engines.amqp_url, namespace, orders, inventory) as stack:
        stack.gateways.append(gateway)
        await gateway.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gateway.ready()
        waiting = [asyncio.create_task(stack.check_out((UUID(int=1), 1))) for _ in range(200)]
        await until(lambda: len(gateway.asking) == 200, PATIENCE_SECONDS, "all are accepted")
        async with asyncio.timeout(gateway.settings.drain_seconds):
            await gateway.stop()
        answers = await asyncio.gather(*waiting)
        assert {answer.status for answer in answers} == {202}
        async with running(orders, inventory):

            async def all_there() -> bool:
                return await stack.count_orders() == 200

            await until(all_there, PATIENCE_SECONDS, "every accepted checkout becomes an order")


async def test_more_open_checkouts_than_allowed_are_turned_away_with_their_key(
    engines: Engines, namespace: str
) -> None:
    gateway = build(gateway_settings(engines.amqp_url, namespace, checkouts_most=1))
    async with running(gateway), make_client_stack(engines.amqp_url, namespace) as stack:
        stack.gateways.append(gateway)
        waiting = asyncio.create_task(stack.check_out((UUID(int=1), 1), prefer="wait=30"))
        await until(lambda: len(gateway.asking) == 1, PATIENCE_SECONDS, "one is open")
        refused = await stack.check_out((UUID(int=1), 1), key=KEY)
        assert (refused.status, refused.json["idempotency_key"]) == (503, KEY)
        gateway.watches.close()
        assert (await waiting).status == 202


async def test_bindings_that_were_removed_come_back(stack: Stack) -> None:
    tier = await stack.add_tier()
    async with stack.gateway(reassert_seconds=0.05), Wire(stack.amqp_url, stack.namespace) as wire:
        await wire.channel.exchange_delete(wire.topology.events)

        async def is_back() -> bool:
            return (await stack.check_out((tier, 1), prefer="wait=1")).status == 201

        # Orders and inventory assert theirs again every 30 seconds only, but the gateway asserts those of all.
        await until(is_back, PATIENCE_SECONDS, "changes are heard again")


async def test_the_gateway_waits_for_a_broker_that_is_away_at_start(
    engines: Engines, namespace: str, cable: Cable
) -> None:
    await cable.pull()
    gateway = build(gateway_settings(through(cable, engines.amqp_url), namespace, orders_url=NOWHERE))
    await gateway.start()
    try:
        async with make_client_stack(engines.amqp_url, namespace) as stack:
            stack.gateways.append(gateway)
            assert (await stack.call("GET", "/readyz")).status == 503
            await cable.plug()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await gateway.ready()
            assert (await stack.call("GET", "/readyz")).status == 200
    finally:
        await gateway.stop()
