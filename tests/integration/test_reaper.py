"""The reaper on its real database: every deadline is told, by one replica, until the order has ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from deploy.local.databases import Templates
from deploy.local.engines import Engines
from services.reaper.service import build
from services.reaper.settings import ReaperSettings
from shared.contracts.base import Message
from shared.contracts.orders import OrderCancelledV1, OrderRejectedV1
from shared.contracts.reaper import DeadlinePassedV1
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from tests.clocks import SteppedClock
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, Wire, move_clock, running
from tests.samples import EARLIER, EMAIL, created, expired, in_seconds, paid
from tests.waiting import until


def settings(database_url: str, **changes: Any) -> ReaperSettings:
    fields: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": "amqp://nobody@127.0.0.1:1/",
        "http_port": 0,
        "admin_tokens": "operator:operator-0123456789abcdef",
    }
    return ReaperSettings(**fields | changes)


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("reaper")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with Bench(build(settings(database_url))) as one:
        yield one


def reap(service: Service) -> Loop:
    (loop,) = [one for one in service.loops if one.name == "reap"]
    return loop


async def test_a_deadline_is_told_when_it_has_passed_and_not_before(
    bench: Bench, database_url: str, templates: Templates
) -> None:
    order = created(expires_at=in_seconds(900))
    await bench.deliver(order)
    assert await reap(bench.service).run_once() == pytest.approx(900, abs=10), "it sleeps until the deadline"
    assert await bench.given_out(Message) == []
    await move_clock(templates.admin(database_url), 901)
    await reap(bench.service).run_once()
    assert await bench.given_out(DeadlinePassedV1) == [
        DeadlinePassedV1(order_id=order.order_id, expires_at=order.expires_at)
    ]


async def test_it_is_repeated_with_growing_pauses_until_the_order_has_ended(
    bench: Bench, database_url: str, templates: Templates
) -> None:
    order = created(expires_at=EARLIER)
    await bench.deliver(order)
    pauses, clock = [], 0.0
    for _ in range(8):
        pause = await reap(bench.service).run_once()
        assert pause is not None
        pauses.append(round(pause))
        clock += pause + 0.5
        await move_clock(templates.admin(database_url), clock)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert len(await bench.given_out(DeadlinePassedV1)) == 8
    await bench.deliver(expired(order.order_id))
    assert await reap(bench.service).run_once() is None
    assert await bench.given_out(Message) == []


async def test_two_replicas_tell_1000_due_deadlines_once_each(database_url: str, bench: Bench) -> None:
    orders = [created(expires_at=EARLIER) for _ in range(1000)]
    await bench.deliver_batch(*orders[:500])
    await bench.deliver_batch(*orders[500:])
    async with (
        Bench(build(settings(database_url, claim_limit=100))) as first,
        Bench(build(settings(database_url, claim_limit=100))) as second,
    ):

        async def work(service: Service) -> None:
            while await reap(service).run_once() == 0:
                pass

        await asyncio.gather(work(first.service), work(second.service))
    told = await bench.given_out(DeadlinePassedV1)
    assert len(told) == 1000
    assert {one.order_id for one in told} == {order.order_id for order in orders}


@pytest.mark.parametrize("ending", ["paid", "expired", "cancelled", "rejected"])
async def test_every_order_of_arrival_ends_in_one_state(bench: Bench, ending: str, note: Note) -> None:
    def story(order_id: UUID) -> Sequence[Message]:
        ends: dict[str, Message] = {
            "paid": paid(order_id),
            "expired": expired(order_id),
            "cancelled": OrderCancelledV1(order_id=order_id),
            "rejected": OrderRejectedV1(order_id=order_id, reason="sold_out", email=EMAIL),
        }
        order = created(order_id, expires_at=EARLIER)
        return [order, order, ends[ending], ends[ending]]

    sequences = list(permutations(range(4)))
    for sequence in sequences:
        order_id = uuid4()
        messages = story(order_id)
        await bench.deliver(*(messages[position] for position in sequence))
        (row,) = await bench.fetch("SELECT ended, due_at FROM deadlines WHERE order_id = $1", order_id)
        assert (row["ended"], row["due_at"]) == (True, None), sequence
    await reap(bench.service).run_once()
    assert await bench.given_out(Message) == []
    note(f"reaper, {ending}: {len(sequences)} sequences")


async def test_it_wakes_every_minute_as_shipped_and_finds_what_another_replica_took_in(
    engines: Engines, namespace: str, database_url: str, templates: Templates
) -> None:
    """The defaults, on a clock that the test moves: 60 seconds between looks, 15 minutes to pay."""
    shipped = ReaperSettings.model_fields["wake_seconds"].default
    assert shipped == 60
    clock = SteppedClock()
    service = build(settings(database_url, amqp_url=engines.amqp_url, namespace=namespace), clock)
    async with running(service), Wire(engines.amqp_url, namespace) as wire:
        heard = await wire.overhear(DeadlinePassedV1)
        await until(clock.sleeping.is_set, 10, "the reaper sleeps")
        assert clock.waits[-1] == shipped, "with no deadline it sleeps for a whole tick"
        # Written by another replica: nothing in this process says a word about it.
        async with Bench(build(settings(database_url))) as other:
            await other.deliver(created(expires_at=in_seconds(900)))
        await move_clock(templates.admin(database_url), 901)
        looks = len(clock.waits)
        await clock.advance(59)
        assert len(clock.waits) == looks, "not before the tick"
        await clock.advance(1)
        assert isinstance(await asyncio.wait_for(heard.get(), 10), DeadlinePassedV1)


async def test_a_nearer_deadline_wakes_it_before_its_tick(engines: Engines, namespace: str, database_url: str) -> None:
    """With the tick and every poll at an hour: the deadline that comes in is told when it is due."""
    slow = settings(database_url, amqp_url=engines.amqp_url, namespace=namespace, wake_seconds=3600, poll_seconds=3600)
    async with running(build(slow)), Wire(engines.amqp_url, namespace) as wire:
        heard = await wire.overhear(DeadlinePassedV1)
        order = created(expires_at=in_seconds(0.3))
        await wire.publish(order)
        told = await asyncio.wait_for(heard.get(), 10)
    assert isinstance(told, DeadlinePassedV1)
    assert told.order_id == order.order_id
