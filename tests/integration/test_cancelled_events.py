"""A cancelled event: the sale stops at once, and each order is ended or given back once, whoever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from deploy.local.databases import Templates
from services.inventory import store as inventory_store
from services.orders import cancelling, store
from services.orders.cancelling import CancelEvents
from services.orders.handlers import OrderHandlers
from services.orders.service import build
from shared.contracts.base import Message
from shared.contracts.inventory import EventCancelledV1, StockRejectedV1, StockReservedV1, TierChangedV1
from shared.contracts.orders import (
    CancellationStartedV1,
    OrderCancelledV1,
    OrderChangedV1,
    RefundRequestedV1,
    RevokeRequestedV1,
)
from shared.contracts.ticketing import TicketsRevokedV1
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, move_clock
from tests.integration.test_order_of_arrival import stock_up
from tests.integration.test_orders import settings, status
from tests.integration.test_orders_refunds import give_back, revoked
from tests.samples import EVENT, TIER, checkout, confirmed, created, issued, reserved
from tests.system import build_service, make_settings
from tests.waiting import until

WHY = "The hall has no power."
CANCELLED = EventCancelledV1(event_id=EVENT.id, title=EVENT.title, cancelled_at=datetime.now(UTC), why=WHY)


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("orders")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with Bench(build(settings(database_url))) as one:
        yield one


def loop_of(bench: Bench) -> CancelEvents:
    return CancelEvents(bench.service.transactions, OrderHandlers(settings("postgres://x")))


async def bought(bench: Bench) -> UUID:
    order_id = uuid4()
    await bench.deliver(checkout(order_id), reserved(order_id), confirmed(order_id), issued(order_id))
    return order_id


async def test_each_order_gets_its_turn_by_what_it_is(bench: Bench) -> None:
    paid, free, waiting, unpriced, partly = await bought(bench), uuid4(), uuid4(), uuid4(), await bought(bench)
    await bench.deliver(checkout(free), reserved(free, total_kobo=0), issued(free, charge_id=None))
    await bench.deliver(checkout(waiting), reserved(waiting), checkout(unpriced))
    await give_back(bench, partly, (1,))
    await bench.given_out(Message)
    await bench.deliver(CANCELLED, CANCELLED)
    assert await bench.given_out(CancellationStartedV1) == [CancellationStartedV1(event_id=EVENT.id)] * 2
    assert await loop_of(bench).run_once() is None
    revokes = {one.order_id: one.numbers for one in await bench.given_out(RevokeRequestedV1)}
    assert revokes == {paid: (1, 2), free: (1, 2), partly: (2,)}
    assert [await status(bench, one) for one in (paid, free, waiting, unpriced, partly)] == [
        "refunding", "refunding", "cancelled", "pending", "refunding",
    ]  # fmt: skip
    await bench.deliver(reserved(unpriced))
    await loop_of(bench).run_once()
    assert await status(bench, unpriced) == "cancelled", "heard of its event only now"
    views = {one.order_id: one for one in await bench.given_out(OrderChangedV1)}
    assert (views[unpriced].event_cancelled, views[unpriced].why) == (True, WHY)
    await loop_of(bench).run_once()
    assert await bench.given_out(Message) == [], "nobody's turn comes twice"


async def test_an_order_that_is_being_paid_for_at_that_moment_is_paid_back(bench: Bench) -> None:
    order_id = uuid4()
    await bench.deliver(checkout(order_id), reserved(order_id), CANCELLED)
    async with bench.service.transactions.begin() as tx:
        await tx.read_now()
        shell = OrderHandlers(settings("postgres://x"))
        orders = await store.lock_orders(tx.connection, order_ids=[order_id])
        await loop_of(bench).run_once()
        await shell.apply(tx, orders, [(confirmed(order_id), None)])
    assert await status(bench, order_id) == "paid", "the loop passed over the locked order"
    await loop_of(bench).run_once()
    await bench.deliver(issued(order_id), revoked(order_id, 1, 2))
    (money,) = await bench.given_out(RefundRequestedV1)
    assert (money.amount_kobo, money.why) == (1_000_000, WHY)


async def test_people_who_were_let_in_keep_their_tickets_and_their_turn_is_over(bench: Bench) -> None:
    order_id = await bought(bench)
    await bench.deliver(CANCELLED)
    await loop_of(bench).run_once()
    await bench.deliver(revoked(order_id, refused=[1, 2]))
    assert await status(bench, order_id) == "paid"
    await bench.given_out(Message)
    await loop_of(bench).run_once()
    assert await bench.given_out(Message) == []


async def test_10000_orders_are_given_back_once_each_by_two_loops_that_die_and_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, note: Note
) -> None:
    """Two replicas beside each other; every third transaction is lost at its end, as when its process dies."""
    first = await bought(bench)
    await bench.fetch(
        "INSERT INTO orders (order_id, reference, status, version, email, request_hash, total_kobo, currency,"
        " charge_id, created_at, expires_at, paid_at, details)"
        " SELECT gen_random_uuid(), translate(lpad(upper(to_hex(n + 65536)), 6, 'Z'), '01', 'XY'), status, version,"
        " email, request_hash, total_kobo, currency, (n + 1000)::text, created_at, expires_at, paid_at, details"
        " FROM orders, generate_series(1, 9999) AS n WHERE order_id = $1",
        first,
    )
    await bench.deliver(CANCELLED)
    await bench.given_out(Message)
    write, calls = OrderHandlers.write, 0

    async def write_and_die(self, tx, changes):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        written = await write(self, tx, changes)
        if calls % 3 == 0:
            raise ConnectionResetError
        return written

    monkeypatch.setattr(OrderHandlers, "write", write_and_die)

    async def replica() -> None:
        loop = loop_of(bench)
        while True:
            try:
                if await loop.run_once() is None:
                    return
            except ConnectionResetError:
                continue

    await asyncio.gather(replica(), replica())
    monkeypatch.undo()
    await loop_of(bench).run_once()
    revokes = await bench.given_out(RevokeRequestedV1)
    assert len(revokes) == len({one.order_id for one in revokes}) == 10_000
    assert await bench.value("SELECT count(*) FROM orders WHERE status = 'refunding'") == 10_000
    for start in range(0, 10_000, 500):
        answers = [TicketsRevokedV1(order_id=one.order_id, numbers=(1, 2)) for one in revokes[start : start + 500]]
        await bench.deliver_batch(*answers)
    refunds = await bench.given_out(RefundRequestedV1)
    assert sum(one.amount_kobo for one in refunds) == 10_000 * 1_000_000
    assert len({(one.charge_id, one.refund_id) for one in refunds}) == len(refunds) == 10_000
    note(f"10,000 orders in {calls} transactions of at most {cancelling.LIMIT}, every third of them lost")


async def test_inventory_sells_nothing_of_a_cancelled_event_and_tells_orders_until_it_answers(
    make_database: MakeDatabase, templates: Templates
) -> None:
    made = make_settings("inventory", make_database)
    async with Bench(build_service("inventory", made)) as bench:  # type: ignore[arg-type]
        await stock_up(bench)
        async with bench.service.transactions.begin() as tx:
            # An order that asks at this moment waits for the stock row, and then finds it off sale.
            assert await inventory_store.cancel_event(tx.connection, event_id=EVENT.id, why=WHY, ask_after_seconds=5)
            assert await inventory_store.cancel_tiers(tx.connection, event_id=EVENT.id) == [TIER]
            asked = asyncio.create_task(bench.deliver(created(None, (TIER, 1))))
            waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
            await until(lambda: bench.value(waits), 20, "the reservation waits for the stock row")
        await asked
        (refused,) = await bench.given_out(StockReservedV1, StockRejectedV1)
        assert isinstance(refused, StockRejectedV1)
        assert refused.reason == "not_on_sale"
        (loop,) = [one for one in bench.service.loops if one.name == "tell cancellations"]
        await loop.run_once()
        assert await bench.given_out(EventCancelledV1) == [], "not yet"
        await move_clock(templates.admin(made.database_url), 60)  # type: ignore[attr-defined]
        await loop.run_once()
        (told,) = await bench.given_out(EventCancelledV1)
        assert (told.event_id, told.why) == (EVENT.id, WHY)
        await bench.deliver(CancellationStartedV1(event_id=EVENT.id))
        await move_clock(templates.admin(made.database_url), 6000)  # type: ignore[attr-defined]
        await loop.run_once()
        assert await bench.given_out(EventCancelledV1, TierChangedV1) == []
        async with bench.service.database.acquire() as connection:
            assert not await inventory_store.insert_tier(
                connection, tier_id=uuid4(), event_id=EVENT.id, name="Late", price_kobo=0, capacity=1,
                max_per_order=1, sale_starts_at=None, sale_ends_at=None,
            )  # fmt: skip


async def test_an_order_that_was_cancelled_with_its_event_is_told_as_cancelled_everywhere(bench: Bench) -> None:
    order_id = uuid4()
    await bench.deliver(checkout(order_id), reserved(order_id), CANCELLED)
    await loop_of(bench).run_once()
    (ended,) = await bench.given_out(OrderCancelledV1)
    assert ended.order_id == order_id
    await bench.deliver(confirmed(order_id))
    (late,) = await bench.given_out(RefundRequestedV1)
    assert late.purpose == "late"
