"""Given the referee's decision, every permutation with a duplicate of an order's messages ends in one state."""

import random
from collections.abc import Iterator, Sequence
from itertools import permutations
from uuid import UUID

import pytest

from services.payments.service import build
from shared.contracts.base import Message
from shared.contracts.orders import OrderCancelledV1, RefundRequestedV1
from shared.contracts.payments import PaymentAbandonedV1
from shared.contracts.reaper import DeadlinePassedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, delivery_of
from tests.integration.payments_support import settings
from tests.samples import EARLIER, EMAIL, LATER, expired, issued, paid, reference_of, reserved

#: Columns that say when, not what.
MOMENTS = {
    "order_id",
    "traceparent",
    "closed_at",
    "deadline_at",
    "abandoned_at",
    "created_at",
    "ended_at",
    "ticketed_at",
}
CHARGE = "18446744073709551615"


def bought(order_id: UUID) -> list[Message]:
    return [
        reserved(order_id, expires_at=LATER),
        paid(order_id, charge_id=CHARGE, expires_at=LATER),
        issued(order_id, charge_id=CHARGE),
    ]


def left(order_id: UUID) -> list[Message]:
    passed = DeadlinePassedV1(order_id=order_id, expires_at=EARLIER)
    return [reserved(order_id, expires_at=EARLIER), passed, expired(order_id, expires_at=EARLIER)]


def given_up(order_id: UUID) -> list[Message]:
    cancelled = OrderCancelledV1(order_id=order_id, reference=reference_of(order_id), expires_at=EARLIER, email=EMAIL)
    passed = DeadlinePassedV1(order_id=order_id, expires_at=EARLIER)
    return [reserved(order_id, expires_at=EARLIER), cancelled, passed]


def free(order_id: UUID) -> list[Message]:
    return [
        reserved(order_id, total_kobo=0),
        paid(order_id, total_kobo=0, charge_id=None),
        issued(order_id, charge_id=None),
    ]


def orders_with_one_duplicate(count: int) -> Iterator[Sequence[int]]:
    """Every order of ``count`` messages of which one comes twice."""
    for twice in range(count):
        yield from sorted(set(permutations([*range(count), twice])))


async def state(bench: Bench, order_id: UUID) -> dict[str, object]:
    """The payments row as what it says, with each moment as whether it is there."""
    (row,) = await bench.fetch("SELECT * FROM payments WHERE order_id = $1", order_id)
    values = {name: value for name, value in row.items() if name not in MOMENTS}
    values["order_reference"] = row["order_reference"] == reference_of(order_id)
    return values | {
        name: row[name] is not None for name in ("closed_at", "abandoned_at", "deadline_at", "ticketed_at")
    }


@pytest.mark.parametrize("story", [bought, left, given_up, free])
async def test_every_order_of_arrival_ends_in_one_state(make_database: MakeDatabase, story: object, note: Note) -> None:
    endings: list[dict[str, object]] = []
    async with Bench(build(settings(make_database("payments")))) as bench:
        for sequence in orders_with_one_duplicate(3):
            order_id = new_id()
            messages = story(order_id)  # type: ignore[operator]
            await bench.deliver(*(messages[place] for place in sequence))
            endings.append(await state(bench, order_id))
        assert await bench.value("SELECT count(*) FROM charges") == 0
    assert all(ending == endings[0] for ending in endings)
    note(f"payments, {story.__name__}: {len(endings)} sequences")  # type: ignore[attr-defined]


async def test_merged_batches_end_in_the_same_state(make_database: MakeDatabase) -> None:
    """Many orders in messages of many events, shuffled by a seed."""
    seed = 20260901
    shuffle = random.Random(seed)
    stories = [bought, left, given_up]
    async with Bench(build(settings(make_database("payments")))) as bench:
        orders = [(new_id(), stories[number % 3]) for number in range(150)]
        by_type: dict[type[Message], list[Message]] = {}
        for order_id, story in orders:
            for message in story(order_id) * 2:
                by_type.setdefault(type(message), []).append(message)
        deliveries = []
        for messages in by_type.values():
            shuffle.shuffle(messages)
            deliveries += [delivery_of(*messages[start : start + 40]) for start in range(0, len(messages), 40)]
        shuffle.shuffle(deliveries)
        for start in range(0, len(deliveries), 3):
            await bench.outcomes(*deliveries[start : start + 3])
        for story in stories:
            states = [await state(bench, order_id) for order_id, told in orders if told is story]
            assert all(one == states[0] for one in states), f"seed {seed}"


async def test_a_deadline_is_answered_each_time_it_passes(make_database: MakeDatabase) -> None:
    async with Bench(build(settings(make_database("payments")))) as bench:
        for sequence in orders_with_one_duplicate(3):
            messages = left(new_id())
            await bench.deliver(*(messages[place] for place in sequence))
            assert len(await bench.given_out(PaymentAbandonedV1)) == sequence.count(1)


async def test_a_refund_of_a_charge_that_is_not_here_waits_as_an_open_case(make_database: MakeDatabase) -> None:
    async with Bench(build(settings(make_database("payments")))) as bench:
        request = RefundRequestedV1(
            order_id=new_id(),
            charge_id=CHARGE,
            reference="bx-gone",
            amount_kobo=1,
            currency="NGN",
            purpose="late",
            why="x",
        )
        await bench.deliver(request, request)
        (case,) = await bench.fetch("SELECT kind, charge_id FROM open_cases")
        assert tuple(case) == ("refund_without_charge", CHARGE)
        assert await bench.given_out() == []
