"""Rivals across services, released in one instant: payment against cancel, and payment against the deadline.

Whoever wins, each order has one end, all money is in tickets or on its way back, and all stock is sold or free.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from deploy.demo.shop import Answer
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from tests.databases import fresh_databases
from tests.harness import Note, delete_namespace, new_namespace
from tests.system import System, make_wiring, system
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = 30
PLACES = 2
PRICE_KOBO = 500_000
TOTAL_KOBO = PLACES * PRICE_KOBO
#: Time to pay; long enough that all have clicked before the first instant comes, on a busy machine too.
PAY_WITHIN_SECONDS = 12
#: Half of the orders are cancelled in the instant they are paid in; the other half up to so much later, since a
#: payment comes by a longer way, over the card company's webhook.
CANCEL_SECONDS = 0.4
#: How long before its deadline an order is paid at the least and at the most, and how long after it: so long that some
#: deadlines have been decided.
BEFORE_SECONDS = (0.005, 0.08)
AFTER_SECONDS = (0.005, 0.5)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(engines: Engines, templates: Templates) -> AsyncIterator[System]:
    """One system with two replicas of every service that decides, for both races."""
    namespace = new_namespace()
    settings: dict[Any, dict[str, Any]] = {
        "orders": {"pay_within_seconds": PAY_WITHIN_SECONDS, "ask_again_seconds": 1},
    }
    with fresh_databases(templates) as make_database:
        wiring = make_wiring(engines.amqp_url, namespace, make_database)
        async with system(wiring, settings=settings, replicas={"orders": 2, "payments": 2, "inventory": 2}) as one:
            yield one
    await delete_namespace(engines.amqp_url, namespace)


async def test_payment_and_cancel_in_the_same_instant(whole: System, note: Note) -> None:
    orders, references = await ready_to_pay(whole, "cancelled")
    gate = asyncio.Event()

    async def pay(reference: str) -> None:
        await gate.wait()
        assert (await whole.shop.settle(reference)).status == 200

    async def cancel(order: Answer, seconds: float) -> int:
        await gate.wait()
        await pause(seconds)
        return (await whole.shop.cancel(order.order_id, order.token)).status

    chance = random.Random(5)
    moments = [chance.uniform(0, CANCEL_SECONDS) if number % 2 else 0.0 for number in range(ORDERS)]
    cancels = [asyncio.create_task(cancel(*one)) for one in zip(orders, moments, strict=True)]
    payments = [asyncio.create_task(pay(reference)) for reference in references]
    gate.set()
    answers, _ = await asyncio.gather(asyncio.gather(*cancels), asyncio.gather(*payments))

    ends = await all_ended(whole, orders, {"paid", "cancelled"})
    told = ["cancelled" if status == 200 else "paid" for status in answers]
    assert set(answers) <= {200, 409}
    assert told == ends, "a buyer was told another end than the order's"
    note(f"payment and cancel at once: {counted(ends[::2])}; cancel a little later: {counted(ends[1::2])}")


async def test_payment_around_the_deadline(whole: System, note: Note) -> None:
    orders, references = await ready_to_pay(whole, "late")
    chance = random.Random(5)
    before = [-chance.uniform(*BEFORE_SECONDS) for _ in range(ORDERS // 2)]
    after = [chance.uniform(*AFTER_SECONDS) for _ in range(ORDERS // 2)]

    async def pay(order: Answer, reference: str, seconds: float) -> str:
        await instant(datetime.fromisoformat(order.body["expires_at"]), seconds)
        settled = await whole.shop.settle(reference)
        assert settled.status == 200, dict(settled.body)
        return reference

    await asyncio.gather(*(pay(*one) for one in zip(orders, references, [*before, *after], strict=True)))

    ends = await all_ended(whole, orders, {"paid", "expired"})
    note(
        f"payment just before the deadline: {counted(ends[: len(before)])}; just after: {counted(ends[len(before) :])}"
    )


async def ready_to_pay(whole: System, name: str) -> tuple[list[Answer], list[str]]:
    """Orders whose buyers all are on Paystack's page, with the references under which they pay."""
    tier = await whole.tier(ORDERS * PLACES, price_kobo=PRICE_KOBO)
    orders = await asyncio.gather(
        *(whole.shop.checkout((tier, PLACES), email=f"{name}-{i}@example.com", prefer="wait=10") for i in range(ORDERS))
    )
    assert [order.status for order in orders] == [201] * ORDERS
    clicks = await asyncio.gather(*(whole.shop.click(order.body["payment_url"]) for order in orders))
    assert [click.status for click in clicks] == [200] * ORDERS
    return orders, [str(click.body["reference"]) for click in clicks]


async def instant(moment: datetime, seconds: float) -> None:
    """Return so many seconds after a moment; asserts that it has not been missed."""
    left = (moment - datetime.now(UTC)).total_seconds() + seconds
    assert left > 0, "preparing took longer than there is time to pay"
    await pause(left)


async def pause(seconds: float) -> None:
    """Return after so many seconds: here the moment itself is what is tested."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def all_ended(whole: System, orders: Sequence[Answer], allowed: set[str]) -> list[str]:
    """Wait for the end of each order; checks money, tickets and stock of each, and returns the ends."""
    views = await asyncio.gather(*(whole.shop.until(one.order_id, one.token, allowed, 30) for one in orders))
    ends = [str(view["status"]) for view in views]
    await whole.sums_hold()
    await whole.quiet()
    again = await asyncio.gather(*(whole.shop.order(one.order_id, one.token) for one in orders))
    assert [view["status"] for view in again] == ends, "an order left its end"
    for order, end in zip(orders, ends, strict=True):
        await until(partial(is_settled, whole, order, end), 15, f"a {end} order has left what it should")
        await ended_once(whole, order, end)
    return ends


async def is_settled(whole: System, order: Answer, end: str) -> bool:
    """Whether money, tickets and places are where they belong."""
    order_id = order.order_id
    charged = await whole.value(
        "payments", "SELECT sum(amount_kobo)::bigint FROM charges WHERE order_id = $1", order_id
    )
    valid = "SELECT count(*) FROM tickets WHERE order_id = $1 AND status = 'valid'"
    tickets = await whole.value("ticketing", valid, order_id)
    hold = await whole.value("inventory", "SELECT status FROM holds WHERE order_id = $1", order_id)
    kept = (charged, await whole.refunds(order_id), tickets, hold)
    if end == "paid":
        return kept == (TOTAL_KOBO, [], PLACES, "sold")
    return kept == (TOTAL_KOBO, [TOTAL_KOBO], 0, "released")


async def ended_once(whole: System, order: Answer, end: str) -> None:
    """The order's decision was given out in one kind only, and its charge has one refund at the most."""
    endings = {"order.paid.v1": "paid", "order.expired.v1": "expired", "order.cancelled.v1": "cancelled"}
    told = await whole.rows(
        "orders",
        "SELECT DISTINCT type FROM outbox WHERE type = ANY ($1) AND convert_from(body, 'UTF8') LIKE $2",
        list(endings),
        f"%{order.order_id}%",
    )
    assert [endings[row["type"]] for row in told] == [end]
    refunds = await whole.rows("payments", "SELECT purpose, status FROM refunds WHERE order_id = $1", order.order_id)
    assert [tuple(row) for row in refunds] == ([] if end == "paid" else [("late", "processed")])


def counted(ends: Sequence[str]) -> str:
    """How many ended each way."""
    return ", ".join(f"{count} {end}" for end, count in sorted(Counter(ends).items()))
