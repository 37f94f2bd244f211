"""The consumer on the real broker: what waits is handled as one, answered once, and has its effect once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from deploy.local.engines import Engines
from services.orders.service import build
from shared.contracts.gateway import CheckoutRequestedV1
from shared.messaging.cloudevents import MAX_BYTES, Event, encode_batches
from shared.messaging.transaction import Transaction
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, Wire, delivery_of, event_of, running
from tests.integration.messaging_support import checkouts, dead, orders_are, orders_service, value
from tests.proxies import Proxy
from tests.samples import checkout, created, paid
from tests.services import settings_of
from tests.spies import spy_on
from tests.waiting import until

TYPE = CheckoutRequestedV1.TYPE


async def test_what_waits_is_handled_in_few_transactions(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire:
        for one in checkouts(150):
            await wire.publish(one)
        async with running(service):
            await orders_are(service, 150)
            # One transaction has one time of receipt, and gives out one message of each type.
            assert await value(service, "SELECT count(DISTINCT received_at) FROM inbox") <= 10
            assert await value(service, "SELECT count(*) FROM inbox") == 150
            assert await value(service, "SELECT count(*) FROM outbox WHERE type = 'order.created.v1'") <= 10
        assert await wire.depth(wire.topology.queue("orders")) == 0


async def test_a_message_has_its_effect_once_however_often_it_comes(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    request, message_id = checkout(), new_id()
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        for _ in range(5):
            await wire.publish(request, message_id=message_id)
        await wire.publish(checkout())
        await orders_are(service, 2)
        assert await value(service, "SELECT sum(event_count) FROM outbox WHERE type = 'order.created.v1'") == 2
        assert await value(service, "SELECT count(*) FROM inbox") == 2
        assert b"boxoffice_messages_duplicate_total 4.0" in service.metrics.render()


async def test_a_connection_lost_between_commit_and_answer_repeats_the_message_and_not_its_effect(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async with Proxy(engines.amqp_url) as broker:
        await broker.open()
        service = orders_service(make_database("orders"), broker.url, namespace)
        lost: list[bool] = []

        async def spy(tx: Transaction, _: Sequence[Event[Any]]) -> None:
            if not lost:
                lost.append(True)
                tx.after_commit(broker.cut)

        spy_on(service, spy)
        async with Wire(engines.amqp_url, namespace) as wire, running(service):
            await wire.publish(*checkouts(10))
            await until(
                lambda: b"boxoffice_messages_duplicate_total 1.0" in service.metrics.render(),
                PATIENCE_SECONDS,
                "the same message again",
            )
            await wire.publish(checkout())
            await orders_are(service, 11)
            assert await value(service, "SELECT sum(event_count) FROM outbox WHERE type = 'order.created.v1'") == 11


async def test_what_is_no_message_of_ours_is_a_dead_letter_and_the_next_good_one_goes_through(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    ((body, _),) = encode_batches([event_of(checkout())])
    ((three, _),) = encode_batches([event_of(paid()) for _ in range(3)])
    many = b"[" + b",".join([body[1:-1]] * 501) + b"]"
    bad: dict[str, dict[str, Any]] = {
        "UnknownType: no model reads the type 'checkout.rejected.v1'": {"message_type": "checkout.rejected.v1"},
        "UnknownType: no model reads the type 'checkout.requested.v2'": {"message_type": "checkout.requested.v2"},
        "UnknownType: the orders service takes in no order.paid.v1": {"message_type": "order.paid.v1", "body": three},
        "Unreadable: the body is not JSON": {"body": body[:-20]},
        "Unreadable: the content type is 'text/plain'": {"content_type": "text/plain", "body": b"[{},{}]"},
        "Unreadable: the body is not a list of 1 to 500 events": {"body": many},
        "Unreadable: the message has 1048577 bytes": {"body": b" " * (MAX_BYTES + 1)},
        "Unreadable: event 0 is malformed": {"body": b"[null]"},
    }  # fmt: skip
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        for changes in bad.values():
            fields = {"body": body, "exchange": "", "routing_key": wire.topology.queue("orders"), "message_type": TYPE}
            await wire.publish_raw(**fields | changes)
        good = checkout()
        await wire.publish(good)
        await orders_are(service, 1)
        letters = await dead(wire, len(bad))
        for letter, why in zip(letters, bad, strict=True):
            assert str(letter.headers["x-reason"]).startswith(why)
        assert await value(service, "SELECT count(*) FROM early_messages") == 0
        assert await value(service, "SELECT count(*) FROM inbox") == 1


async def test_a_foreign_message_with_an_id_of_another_kind_has_its_effect_once(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    ((body, _),) = encode_batches([event_of(checkout())])
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        for _ in range(3):
            await wire.publish_raw(
                body, exchange=wire.topology.commands, routing_key=TYPE, message_id="order-17 of the other shop"
            )
        await wire.publish(checkout())
        await orders_are(service, 2)


async def test_rivals_for_the_same_rows_are_waited_for_together(make_database: MakeDatabase) -> None:
    """A merged batch that loses a deadlock is tried again as one; it is not taken apart."""
    tries: list[int] = []

    async def spy(_: Transaction, events: Sequence[Event[Any]]) -> None:
        tries.append(len(events))
        if len(tries) < 3:
            raise asyncpg.DeadlockDetectedError("rivals")

    async with Bench(spy_on(build(settings_of("orders", make_database("orders"))), spy)) as bench:  # type: ignore[arg-type]
        outcomes = await bench.outcomes(*(delivery_of(one) for one in checkouts(20)))
    assert [type(one).__name__ for one in outcomes] == ["Done"] * 20
    assert tries == [20, 20, 20]


async def test_merged_messages_with_one_bad_among_them_end_each_in_its_own_way(make_database: MakeDatabase) -> None:
    async def spy(_: Transaction, events: Sequence[Event[Any]]) -> None:
        if any(event.data.email == "poison@example.com" for event in events):
            raise ZeroDivisionError

    bad = delivery_of(checkout(email="poison@example.com"))
    good = [delivery_of(one) for one in checkouts(4)]
    strange = delivery_of(created())
    async with Bench(spy_on(build(settings_of("orders", make_database("orders"))), spy)) as bench:  # type: ignore[arg-type]
        outcomes = await bench.outcomes(*good[:2], bad, strange, *good[2:])
        kinds = [type(one).__name__ for one in outcomes]
        assert kinds == ["Done", "Done", "Retry", "DeadLetter", "Done", "Done"]
        assert await bench.value("SELECT count(*) FROM orders") == 4


async def test_a_handler_that_hangs_is_rolled_back_and_tried_again(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.handling.HANDLING_TIMEOUT_SECONDS", 0.2)
    tries: list[int] = []

    async def spy(_: Transaction, __: Sequence[Event[Any]]) -> None:
        tries.append(1)
        await asyncio.Event().wait()

    async with Bench(spy_on(build(settings_of("orders", make_database("orders"))), spy)) as bench:  # type: ignore[arg-type]
        (outcome,) = await bench.outcomes(delivery_of(checkout()))
        assert type(outcome).__name__ == "Retry", "it holds nobody up"
        assert len(tries) == 3
        assert await bench.value("SELECT count(*) FROM inbox") == 0


async def test_a_consumer_that_is_cut_off_by_the_broker_comes_back(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        await wire.publish(checkout())
        await orders_are(service, 1)
        # The broker cancels consumers of a queue that is removed; the service declares it again.
        await wire.channel.queue_delete(wire.topology.queue("orders"))

        request, message_id = checkout(), new_id()

        async def arrives() -> bool:
            # Until the queue is bound again nobody takes it; a relay would repeat it just so.
            await wire.publish(request, message_id=message_id)
            return bool(await value(service, "SELECT count(*) FROM orders") == 2)

        await until(arrives, PATIENCE_SECONDS, "the queue and its consumer are back")
