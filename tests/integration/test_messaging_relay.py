"""The relay on the real broker: what was committed goes out at least once, and nothing holds up what is not its own."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from deploy.local.engines import Engines
from shared.contracts.base import Message
from shared.contracts.inventory import StockRejectedV1
from shared.contracts.orders import OrderChangedV1, OrderCreatedV1, OrderExpiredV1, OrderPaidV1
from shared.messaging import publisher as publishing
from shared.messaging import store
from shared.messaging.exceptions import NotConfirmed
from shared.messaging.relay import CLAIM_LIMIT
from shared.messaging.topology import Topology
from shared.messaging.transaction import as_message
from shared.runtime.service import Service
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.integration.messaging_support import orders_are, orders_service, value
from tests.proxies import Proxy
from tests.samples import TIER, checkout, created, expired, paid
from tests.services import build_of, settings_of, through
from tests.waiting import until

WAITING = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"


async def emit(service: Service, *messages: Message) -> None:
    """Commit these, each as a message of its own."""
    for message in messages:
        async with service.transactions.begin() as tx:
            tx.emit(message)


async def waiting_are(service: Service, count: int) -> None:
    async def counted() -> bool:
        return bool(await value(service, WAITING) == count)

    await until(counted, PATIENCE_SECONDS, f"{count} rows in the outbox")


async def all_sent(service: Service) -> None:
    await waiting_are(service, 0)


async def deadlines_are(reaper: Service, count: int) -> None:
    async def counted() -> bool:
        return bool(await value(reaper, "SELECT count(*) FROM deadlines") == count)

    await until(counted, PATIENCE_SECONDS, f"{count} deadlines")


async def next_of(heard: "asyncio.Queue[Message]") -> Message:
    return await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)


async def test_a_message_leaves_at_its_commit_and_not_at_a_poll(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        heard = await wire.overhear(OrderCreatedV1)
        for _ in range(3):
            request = checkout()
            await wire.publish(request)
            answer = await next_of(heard)
            assert answer.subject == request.order_id


async def test_a_type_nobody_is_bound_to_backs_off_alone_and_goes_out_once_it_is_bound_again(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        heard = await wire.overhear(OrderPaidV1)
        # Its first run, at the start, may still be under way and would bind again what is unbound here.
        await next(loop for loop in service.loops if loop.name == "re-assert queues").stop(PATIENCE_SECONDS)
        for name in ("inventory", "reaper"):
            queue = await wire.channel.get_queue(wire.topology.queue(name))
            await queue.unbind(wire.topology.events, OrderCreatedV1.TYPE)
        # More refused rows than one claim takes stand before the others.
        async with service.transactions.begin() as tx:
            await store.insert_outbox(
                tx.connection,
                messages=[
                    (as_message(OrderCreatedV1, service.topology, body), 1, False)
                    for body in [b"[]"] * (CLAIM_LIMIT + 10)
                ],
            )
        await emit(service, paid())
        await next_of(heard)
        await waiting_are(service, CLAIM_LIMIT + 10)
        assert b'boxoffice_messages_refused_total{type="order.created.v1"}' in service.metrics.render()
        await emit(service, paid())
        await next_of(heard)
        assert "NO_ROUTE" in await value(service, "SELECT max(last_error) FROM outbox")
        await service.publisher.declare_again()
        await all_sent(service)
        assert await wire.depth(wire.topology.queue("inventory")) == CLAIM_LIMIT + 10 + 2


async def test_what_only_a_running_gateway_hears_may_go_unheard(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    request = checkout()
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        await wire.publish(request)
        await orders_are(service, 1)
        await wire.publish(StockRejectedV1(order_id=request.order_id, reason="sold_out", tier_id=TIER))

        async def changed() -> bool:
            sent = "SELECT count(*) FROM outbox WHERE type = $1 AND sent_at IS NOT NULL AND attempts = 1"
            return bool(await value(service, sent, OrderChangedV1.TYPE) == 1)

        await until(changed, PATIENCE_SECONDS, "the order's new view is sent to nobody")


async def test_a_publish_without_a_confirm_is_repeated_under_its_id_and_has_one_effect(
    engines: Engines, make_database: MakeDatabase, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.relay.CONFIRM_TIMEOUT_SECONDS", 0.3)
    receiver = build_of("reaper", settings_of("reaper", make_database("reaper"), engines.amqp_url, namespace))
    async with Proxy(engines.amqp_url) as broker:
        await broker.open()
        sender = orders_service(make_database("orders"), broker.url, namespace)
        async with Wire(engines.amqp_url, namespace), running(receiver, sender):
            broker.freeze_answers()
            await emit(sender, *(created() for _ in range(20)))

            async def is_unknown() -> bool:
                return bool(await value(sender, "SELECT bool_or(last_error LIKE 'no confirm%') FROM outbox"))

            await until(is_unknown, PATIENCE_SECONDS, "an attempt of unknown outcome")
            broker.thaw()
            await all_sent(sender)
            assert await value(sender, "SELECT max(attempts) FROM outbox") > 1
            await deadlines_are(receiver, 20)
            assert await value(receiver, "SELECT count(*) FROM inbox") == await value(
                sender, "SELECT count(*) FROM outbox"
            )


async def test_whoever_publishes_when_a_frozen_connection_is_given_up_is_told_so(
    engines: Engines, namespace: str
) -> None:
    """aiormq cancels those who wait on a connection that is closed; that must not end the relay."""
    async with Proxy(engines.amqp_url) as broker:
        await broker.open()
        topology = Topology(namespace)
        publisher = publishing.Publisher(broker.url, "test", topology)
        publisher.start()
        await asyncio.wait_for(publisher.connected.wait(), PATIENCE_SECONDS)
        broker.freeze()
        message = as_message(OrderPaidV1, topology, b"[]")
        others = [asyncio.create_task(publisher.publish(as_message(OrderPaidV1, topology, b"[]"))) for _ in range(3)]
        with pytest.raises(NotConfirmed):
            await publisher.publish(message, 0.2)
        for error in await asyncio.gather(*others, return_exceptions=True):
            assert isinstance(error, NotConfirmed), repr(error)
        broker.thaw()
        await asyncio.wait_for(publisher.connected.wait(), PATIENCE_SECONDS)
        await publisher.publish(message)
        await publisher.stop()


async def test_rows_of_a_dead_relay_are_taken_over_after_their_lease(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    url = make_database("orders")
    service = orders_service(url, engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire:
        heard = await wire.overhear(OrderExpiredV1)
        await service.database.open()
        await emit(service, expired(uuid4()), expired(uuid4()))
        async with service.database.acquire() as connection:
            taken = await store.claim_outbox(connection, limit=10, claimant=uuid4(), lease_seconds=30, refused_types=[])
            assert len(taken) == 2
            assert await service.relay.run_once() == 0, "they are leased"
            await connection.execute("UPDATE outbox SET claimed_until = now() - interval '1 ms'")
        await service.database.close()
        heir = orders_service(url, engines.amqp_url, namespace)
        async with running(heir):
            await next_of(heard)
            await next_of(heard)
            await all_sent(heir)


async def test_a_relay_goes_on_with_what_it_could_not_mark_itself(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    """PostgreSQL went away between the confirm and the mark: the row is sent again at once, not after the lease."""
    async with Proxy(engines.database_url) as database:
        await database.open()
        service = orders_service(through(make_database("orders"), database.port), engines.amqp_url, namespace)
        async with Wire(engines.amqp_url, namespace) as wire, running(service):
            heard = await wire.overhear(OrderExpiredV1)
            publish = service.publisher.publish
            cuts: list[bool] = []

            async def publish_and_cut(message: publishing.OutgoingMessage, timeout_seconds: float) -> None:
                await publish(message, timeout_seconds)
                if not cuts:
                    cuts.append(True)
                    database.cut()

            service.publisher.publish = publish_and_cut  # type: ignore[method-assign, assignment]
            await emit(service, expired(uuid4()))
            first, second = await next_of(heard), await next_of(heard)
            assert first == second
            await all_sent(service)


async def test_two_relays_share_one_outbox_and_every_effect_happens_once(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    url = make_database("orders")
    first, second = (orders_service(url, engines.amqp_url, namespace, poll_seconds=0.05) for _ in range(2))
    async with Wire(engines.amqp_url, namespace):
        reaper = build_of("reaper", settings_of("reaper", make_database("reaper"), engines.amqp_url, namespace))
        async with running(first, second, reaper):
            orders = [created() for _ in range(300)]
            await asyncio.gather(emit(first, *orders[:150]), emit(second, *orders[150:]))
            await all_sent(first)
            await deadlines_are(reaper, 300)
            assert await value(reaper, "SELECT count(*) FROM inbox") == 300
            assert (
                await value(first, "SELECT count(*) FROM outbox WHERE sent_at IS NULL OR claimed_by IS NOT NULL") == 0
            )


@pytest.mark.parametrize("table", ["outbox", "inbox"])
async def test_what_is_past_its_retention_goes_in_bounded_steps(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr("shared.runtime.service._UPKEEP_ROWS", 10)
    service = orders_service(make_database("orders"), "amqp://nobody@127.0.0.1:1/", "none")
    rows: dict[str, str] = {
        "outbox": "INSERT INTO outbox (message_id, type, exchange, routing_key, body, event_count, sent_at) "
        "SELECT gen_random_uuid(), 'x', '', '', '', 1, now() - $1::interval FROM generate_series(1, $2::int)",
        "inbox": "INSERT INTO inbox SELECT gen_random_uuid(), now() - $1::interval FROM generate_series(1, $2::int)",
    }
    await service.database.open()
    async with service.database.acquire() as connection:
        await connection.execute(rows[table], timedelta(days=15), 25)
        await connection.execute(rows[table], timedelta(hours=1), 7)
    (upkeep,) = [loop for loop in service.loops if loop.name == "upkeep"]
    left = []
    pauses = []
    for _ in range(3):
        pauses.append(await upkeep.run_once())
        left.append(await value(service, f"SELECT count(*) FROM {table}"))
    assert left == [22, 12, 7]
    assert pauses == [0, 0, None]
    await service.database.close()
