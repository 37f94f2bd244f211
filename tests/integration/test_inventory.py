"""Inventory on its real database: the stock is never oversold, and comes back whole."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.local.databases import Templates
from services.inventory.service import build
from services.inventory.settings import InventorySettings
from shared.contracts.base import Message
from shared.contracts.inventory import StockRejectedV1, StockReservedV1, StockReturnedV1, TierChangedV1
from shared.contracts.orders import OrderCancelledV1, OrderRefundedV1, ReturnedLine
from shared.contracts.payments import StockAskedV1
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, move_clock
from tests.samples import EARLIER, EVENT, created, expired, in_seconds, paid


def settings(database_url: str) -> InventorySettings:
    return InventorySettings(
        database_url=database_url,
        amqp_url="amqp://nobody@127.0.0.1:1/",
        http_port=0,
        admin_tokens="organiser:0123456789abcdef",
    )


@pytest.fixture
async def database_url(make_database: MakeDatabase) -> str:
    return make_database("inventory")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with Bench(build(settings(database_url))) as one:
        yield one


async def add_tier(
    bench: Bench, capacity: int, *, price_kobo: int = 500_000, name: str = "VIP", most: int = 10
) -> UUID:
    """A tier of one event that all tiers share."""
    tier_id = uuid4()
    async with bench.service.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO events VALUES ($1, $2, $3, $4, $5, 'NGN') ON CONFLICT DO NOTHING",
            EVENT.id, EVENT.title, EVENT.venue, EVENT.starts_at, EVENT.ends_at,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO tiers (id, event_id, name, price_kobo, capacity, available, max_per_order) "
            "VALUES ($1, $2, $3, $4, $5, $5, $6)",
            tier_id, EVENT.id, name, price_kobo, capacity, most,
        )  # fmt: skip
    return tier_id


async def stock(bench: Bench, tier_id: UUID) -> tuple[int, int, int]:
    """Available, held, sold."""
    (row,) = await bench.fetch("SELECT available, held, sold FROM tiers WHERE id = $1", tier_id)
    return row["available"], row["held"], row["sold"]


async def test_an_order_is_reserved_at_the_price_of_our_row(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    order = created(None, (tier, 2))
    await bench.deliver(order)
    (answer,) = await bench.given_out(StockReservedV1)
    assert answer.total_kobo == 1_000_000
    assert answer.lines[0].tier_name == "VIP"
    assert answer.expires_at == order.expires_at
    assert await stock(bench, tier) == (8, 2, 0)


async def test_a_batch_of_500_takes_no_more_than_there_is(bench: Bench) -> None:
    tier = await add_tier(bench, 100)
    await bench.deliver_batch(*(created(None, (tier, 1)) for _ in range(500)))
    answers = await bench.given_out(StockReservedV1, StockRejectedV1)
    assert sum(isinstance(answer, StockReservedV1) for answer in answers) == 100
    assert {answer.reason for answer in answers if isinstance(answer, StockRejectedV1)} == {"sold_out"}
    assert await stock(bench, tier) == (0, 100, 0)


async def test_a_changed_tier_is_told_once_a_batch(bench: Bench) -> None:
    tier = await add_tier(bench, 100)
    await bench.deliver_batch(*(created(None, (tier, 1)) for _ in range(50)))
    (told,) = await bench.given_out(TierChangedV1)
    assert (told.tier.available, told.tier.held) == (50, 50)


@pytest.mark.parametrize("lines_per_order", [1, 2])
async def test_300_contenders_for_the_last_10_places_hold_exactly_10(
    database_url: str, bench: Bench, lines_per_order: int
) -> None:
    tier = await add_tier(bench, 10 * lines_per_order)
    orders = [created(None, *[(tier, 1)] * lines_per_order) for _ in range(300)]
    replicas = [build(settings(database_url)) for _ in range(3)]
    await asyncio.gather(*(replica.database.open() for replica in replicas))
    gate = asyncio.Event()

    async def contend(number: int) -> None:
        await gate.wait()
        await Bench(replicas[number % 3]).deliver(orders[number])

    contenders = [asyncio.create_task(contend(number)) for number in range(300)]
    gate.set()
    await asyncio.gather(*contenders)
    await asyncio.gather(*(replica.database.close() for replica in replicas))
    answers = await bench.given_out(StockReservedV1, StockRejectedV1)
    assert sum(isinstance(answer, StockReservedV1) for answer in answers) == 10
    assert len(answers) == 300
    assert await stock(bench, tier) == (0, 10 * lines_per_order, 0)
    assert await bench.value("SELECT count(*) FROM holds WHERE status = 'held'") == 10


async def test_two_lines_of_one_tier_are_one_wish(bench: Bench) -> None:
    tier = await add_tier(bench, 3)
    await bench.deliver(created(None, (tier, 2), (tier, 2)))
    (answer,) = await bench.given_out(StockRejectedV1)
    assert (answer.reason, answer.tier_id) == ("sold_out", tier)
    assert await stock(bench, tier) == (3, 0, 0)


async def test_an_order_is_reserved_whole_or_not_at_all(bench: Bench) -> None:
    plenty, few = await add_tier(bench, 10), await add_tier(bench, 1)
    await bench.deliver(created(None, (plenty, 2), (few, 2)))
    (answer,) = await bench.given_out(StockRejectedV1)
    assert answer.tier_id == few
    assert await stock(bench, plenty) == (10, 0, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE tiers SET sale_starts_at = now() + interval '1 hour'", "not_on_sale"),
        ("UPDATE tiers SET sale_ends_at = now() - interval '1 hour'", "not_on_sale"),
        ("UPDATE events SET starts_at = now() - interval '2 days', ends_at = now() - interval '1 day'", "not_on_sale"),
        ("UPDATE tiers SET max_per_order = 1", "over_limit"),
        ("UPDATE tiers SET price_kobo = 2000000000", "over_limit"),
        ("UPDATE tiers SET capacity = 1, available = 1", "sold_out"),
        ("DELETE FROM tiers", "unknown_tier"),
    ],
)
async def test_what_cannot_be_sold_is_refused_by_name(bench: Bench, change: str, reason: str) -> None:
    tier = await add_tier(bench, 10)
    await bench.fetch(change)
    await bench.deliver(created(None, (tier, 2)))
    (answer,) = await bench.given_out(StockRejectedV1)
    assert answer.reason == reason


async def test_an_order_whose_tickets_no_message_could_carry_is_refused(bench: Bench) -> None:
    tier = await add_tier(bench, 5000, most=1000)
    await bench.deliver(created(None, (tier, 501), (await add_tier(bench, 5000, most=1000), 500)))
    (answer,) = await bench.given_out(StockRejectedV1)
    assert answer.reason == "over_limit"


async def test_tiers_of_two_events_are_no_order(bench: Bench) -> None:
    first, second = await add_tier(bench, 10), await add_tier(bench, 10)
    other = uuid4()
    await bench.fetch("INSERT INTO events SELECT $1, title, venue, starts_at, ends_at, currency FROM events", other)
    await bench.fetch("UPDATE tiers SET event_id = $1 WHERE id = $2", other, second)
    await bench.deliver(created(None, (first, 1), (second, 1)))
    (answer,) = await bench.given_out(StockRejectedV1)
    assert answer.reason == "several_events"


async def test_a_repeated_order_gets_the_first_answer_and_takes_nothing_more(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    order = created(None, (tier, 2))
    await bench.deliver(order)
    (first,) = await bench.given_out(StockReservedV1)
    await bench.fetch("UPDATE tiers SET price_kobo = 900000, name = 'Gold'")
    await bench.fetch("UPDATE events SET title = 'Another name'")
    await bench.deliver(order)
    (second,) = await bench.given_out(StockReservedV1)
    assert second == first, "a renamed tier and a new price touch only later reservations"
    assert await stock(bench, tier) == (8, 2, 0)


async def test_a_rejected_order_stays_rejected_when_stock_returns(bench: Bench) -> None:
    tier = await add_tier(bench, 1)
    order = created(None, (tier, 2))
    await bench.deliver(order)
    await bench.fetch("UPDATE tiers SET capacity = 10, available = 10")
    await bench.deliver(order)
    assert [answer.reason for answer in await bench.given_out(StockRejectedV1)] == ["sold_out", "sold_out"]


async def test_places_go_back_whole_when_an_order_ends_unpaid(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    first, second = created(None, (tier, 2)), created(None, (tier, 3))
    await bench.deliver(first, second, expired(first.order_id), OrderCancelledV1(order_id=second.order_id))
    assert await stock(bench, tier) == (10, 0, 0)


REFUNDED = "refunded"


def story(kind: str, order_id: UUID, tier: UUID) -> Sequence[Message]:
    """The messages of one order as inventory hears them, with one of them twice."""
    order = created(order_id, (tier, 2))
    payment = paid(order_id)
    back = OrderRefundedV1(order_id=order_id, lines=(ReturnedLine(tier_id=tier, quantity=2),), amount_kobo=1)
    part = OrderRefundedV1(order_id=order_id, lines=(ReturnedLine(tier_id=tier, quantity=1),), amount_kobo=1)
    stories: dict[str, Sequence[Message]] = {
        "paid": [order, order, payment, payment],
        "expired": [order, order, expired(order_id), expired(order_id)],
        "cancelled": [order, order, OrderCancelledV1(order_id=order_id), OrderCancelledV1(order_id=order_id)],
        REFUNDED: [order, payment, part, back, back],
        "partly refunded": [order, payment, payment, part, part],
    }
    return stories[kind]


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("paid", ("sold", (8, 0, 2))),
        ("expired", ("released", (10, 0, 0))),
        ("cancelled", ("released", (10, 0, 0))),
        (REFUNDED, ("sold", (10, 0, 0))),
        ("partly refunded", ("sold", (9, 0, 1))),
    ],
)
async def test_every_order_of_arrival_ends_in_one_state(
    bench: Bench, kind: str, end: tuple[str, tuple[int, int, int]], note: Note
) -> None:
    orders = sorted(set(permutations(range(len(story(kind, uuid4(), uuid4()))))))
    for sequence in orders:
        tier, order_id = await add_tier(bench, 10), uuid4()
        messages = story(kind, order_id, tier)
        await bench.deliver(*(messages[position] for position in sequence))
        status = await bench.value("SELECT status FROM holds WHERE order_id = $1", order_id)
        assert (status, await stock(bench, tier)) == end, sequence
    note(f"inventory, {kind}: {len(orders)} sequences")


async def test_a_hold_past_its_time_asks_until_the_end_is_heard(
    bench: Bench, database_url: str, templates: Templates
) -> None:
    tier = await add_tier(bench, 10)
    order = created(None, (tier, 2), expires_at=in_seconds(60))
    await bench.deliver(order)
    (ask,) = [loop for loop in bench.service.loops if loop.name == "ask about holds"]
    await bench.given_out(Message)
    assert await ask.run_once() == pytest.approx(90, abs=10), "it sleeps until the hold is due"
    assert await bench.given_out(Message) == []
    await move_clock(templates.admin(database_url), 100)
    pause = await ask.run_once()
    assert len(await bench.given_out(StockReservedV1)) == 1
    assert pause == pytest.approx(5, abs=1)
    await bench.deliver(expired(order.order_id))
    assert await stock(bench, tier) == (10, 0, 0)
    assert await ask.run_once() is None


async def test_refunded_places_are_answered_with_totals(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    order = created(None, (tier, 2))
    back = OrderRefundedV1(order_id=order.order_id, lines=(ReturnedLine(tier_id=tier, quantity=9),), amount_kobo=1)
    await bench.deliver(order, paid(order.order_id), back, back)
    answers = await bench.given_out(StockReturnedV1)
    assert [[line.quantity for line in answer.lines] for answer in answers] == [[2], [2]], "never more than was sold"
    assert await stock(bench, tier) == (10, 0, 0)


async def test_the_table_itself_refuses_a_stock_that_does_not_sum(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    for wrong in ("available = available - 1", "held = -1, available = 11", "sold = sold + 1"):
        with pytest.raises(asyncpg.CheckViolationError, match="stock_is_whole"):
            await bench.fetch(f"UPDATE tiers SET {wrong} WHERE id = $1", tier)


async def test_an_order_created_after_its_deadline_is_reserved_and_released_like_any(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    order = created(None, (tier, 2), expires_at=EARLIER)
    await bench.deliver(order, expired(order.order_id))
    assert await stock(bench, tier) == (10, 0, 0)


async def test_asked_what_it_reserved_it_says_so_again_and_takes_nothing(bench: Bench) -> None:
    tier = await add_tier(bench, 10)
    order, unknown = created(None, (tier, 2)), uuid4()
    await bench.deliver(order)
    first = await bench.given_out(StockReservedV1)
    await bench.deliver(StockAskedV1(order_id=order.order_id), StockAskedV1(order_id=unknown))
    assert await bench.given_out(StockReservedV1) == first
    assert await stock(bench, tier) == (8, 2, 0)
    await bench.deliver(expired(order.order_id), StockAskedV1(order_id=order.order_id))
    assert await bench.given_out(StockReservedV1) == [], "what was released is not promised again"
