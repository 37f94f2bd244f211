"""The referee on its real database: an order leaves pending once, whatever comes in whatever order."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from deploy.local.databases import Templates
from services.orders import handlers, store
from services.orders.domain import Decision
from services.orders.domain_refunds import decide_refund
from services.orders.service import build
from services.orders.settings import OrdersSettings
from shared.contracts.base import Message
from shared.contracts.gateway import CancelRequestedV1
from shared.contracts.inventory import StockRejectedV1, StockReturnedV1
from shared.contracts.orders import (
    OrderCancelledV1,
    OrderChangedV1,
    OrderCreatedV1,
    OrderExpiredV1,
    OrderPaidV1,
    OrderRefundedV1,
    OrderRejectedV1,
    RefundRequestedV1,
    RevokeRequestedV1,
)
from shared.contracts.payments import PaymentAbandonedV1, PaymentRefundedV1
from shared.contracts.ticketing import TicketsRevokedV1
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, move_clock
from tests.samples import EARLIER, TIER, charge_of, checkout, confirmed, issued, reserved
from tests.waiting import until

ENDINGS = (OrderPaidV1, OrderExpiredV1, OrderCancelledV1, OrderRejectedV1)


def settings(database_url: str, **changes: Any) -> OrdersSettings:
    fields: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": "amqp://nobody@127.0.0.1:1/",
        "http_port": 0,
        "service_token": "service-0123456789abcdef",
        "admin_tokens": "organiser:0123456789abcdef",
    }
    return OrdersSettings(**fields | changes)


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("orders")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with Bench(build(settings(database_url))) as one:
        yield one


async def status(bench: Bench, order_id: UUID) -> str:
    value: str = await bench.value("SELECT status FROM orders WHERE order_id = $1", order_id)
    return value


async def deadline_has_passed(bench: Bench) -> None:
    """For all orders there are."""
    await bench.fetch("UPDATE orders SET created_at = now() - interval '20 min', expires_at = now() - interval '1 s'")


def abandoned(order_id: UUID, **changes: Any) -> PaymentAbandonedV1:
    return PaymentAbandonedV1(order_id=order_id, expires_at=EARLIER, **changes)


def cancel(order_id: UUID) -> CancelRequestedV1:
    return CancelRequestedV1(order_id=order_id, requested_at=EARLIER)


async def test_a_checkout_becomes_an_order_with_15_minutes_to_pay(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request)
    (order,) = await bench.given_out(OrderCreatedV1)
    assert order.order_id == request.order_id
    assert order.lines == request.items
    seconds = await bench.value("SELECT extract(epoch FROM expires_at - created_at)::float8 FROM orders")
    assert seconds == 900


async def test_a_repeated_checkout_is_the_same_order_and_is_told_how_it_stands(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id))
    await bench.given_out(Message)
    await bench.deliver(request, checkout(request.order_id, request_hash="cd" * 32))
    views = await bench.given_out(OrderChangedV1)
    assert [(one.total_kobo, one.request_hash) for one in views] == [(1_000_000, "ab" * 32)] * 2
    assert await bench.value("SELECT count(*) FROM orders") == 1


async def test_a_taken_reference_is_replaced_within_the_transaction(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = iter("A" * 12 + "B" * 6)
    monkeypatch.setattr(secrets, "choice", lambda _: next(letters))
    await bench.deliver(checkout())
    await bench.deliver(checkout())
    rows = await bench.fetch("SELECT reference FROM orders ORDER BY reference")
    assert [row["reference"] for row in rows] == ["AAAAAA", "BBBBBB"]


async def test_a_reservation_makes_the_order_payable_once(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id), reserved(request.order_id, total_kobo=1))
    (view,) = await bench.given_out(OrderChangedV1)
    assert (view.status, view.total_kobo, view.lines[0].tier_name) == ("pending", 1_000_000, "VIP")


async def test_an_order_that_costs_nothing_is_paid_at_once(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id, total_kobo=0))
    (paid,) = await bench.given_out(OrderPaidV1)
    assert paid.charge_id is None
    assert await status(bench, request.order_id) == "paid"


async def test_refused_stock_ends_the_order(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, StockRejectedV1(order_id=request.order_id, reason="sold_out", tier_id=TIER))
    (rejected,) = await bench.given_out(OrderRejectedV1)
    assert (rejected.reason, rejected.tier_id) == ("sold_out", TIER)


async def test_a_payment_in_time_makes_it_paid_and_a_repeat_repeats_the_answer(bench: Bench) -> None:
    request = checkout()
    charge = confirmed(request.order_id)
    await bench.deliver(request, reserved(request.order_id), charge, charge)
    answers = await bench.given_out(OrderPaidV1, RefundRequestedV1)
    assert [type(one) for one in answers] == [OrderPaidV1, OrderPaidV1]
    assert await status(bench, request.order_id) == "paid"


async def test_expired_order_cannot_be_paid(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id))
    await deadline_has_passed(bench)
    await bench.deliver(abandoned(request.order_id), confirmed(request.order_id), confirmed(request.order_id))
    refunds = await bench.given_out(RefundRequestedV1)
    assert [(one.purpose, one.amount_kobo) for one in refunds] == [("late", 1_000_000)] * 2
    assert await status(bench, request.order_id) == "expired"


async def test_an_order_does_not_expire_before_its_own_clock_says_so(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id), abandoned(request.order_id))
    assert await bench.given_out(*ENDINGS) == []
    await bench.deliver(abandoned(request.order_id, why="declined"))
    assert await status(bench, request.order_id) == "expired"


async def test_a_second_charge_is_refunded_and_the_first_keeps_its_tickets(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(
        request, reserved(request.order_id), confirmed(request.order_id), confirmed(request.order_id, 2)
    )
    (refund,) = await bench.given_out(RefundRequestedV1)
    assert (refund.charge_id, refund.purpose) == (charge_of(request.order_id, 2), "double")
    assert await status(bench, request.order_id) == "paid"


@pytest.mark.parametrize("wrong", [{"amount_kobo": 999_999}, {"currency": "GHS"}])
async def test_a_wrong_amount_or_currency_pays_nothing_and_goes_back(bench: Bench, wrong: dict[str, Any]) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id), confirmed(request.order_id, **wrong))
    (refund,) = await bench.given_out(RefundRequestedV1)
    assert refund.purpose == "mismatch"
    assert await status(bench, request.order_id) == "pending"


async def test_a_fee_on_top_pays_the_price_and_goes_back_with_it(bench: Bench) -> None:
    request = checkout()
    on_top = {"amount_kobo": 1_025_000, "surcharge_kobo": 25_000}
    await bench.deliver(request, reserved(request.order_id), confirmed(request.order_id, **on_top))
    assert await status(bench, request.order_id) == "paid"
    await bench.deliver(confirmed(request.order_id, 2, **on_top))
    (refund,) = await bench.given_out(RefundRequestedV1)
    assert (refund.purpose, refund.amount_kobo) == ("double", 1_025_000)
    wrong = checkout()
    await bench.deliver(wrong, reserved(wrong.order_id), confirmed(wrong.order_id, surcharge_kobo=25_000))
    assert await status(bench, wrong.order_id) == "pending"


async def test_cancelling_a_paid_order_only_tells_how_it_stands(bench: Bench) -> None:
    request = checkout()
    await bench.deliver(request, reserved(request.order_id), confirmed(request.order_id))
    await bench.given_out(Message)
    await bench.deliver(cancel(request.order_id))
    (only,) = await bench.given_out(Message)
    assert isinstance(only, OrderChangedV1)
    assert only.status == "paid"


@pytest.mark.parametrize("rival", ["expiry", "cancel"])
@pytest.mark.parametrize("first", ["payment", "rival"])
async def test_payment_and_its_rival_stepped_both_ways_have_one_winner(
    database_url: str, bench: Bench, rival: str, first: str
) -> None:
    """The loser starts while the winner's transaction is open: it waits for the row, then finds another status."""
    request = checkout()
    await bench.deliver(request, reserved(request.order_id))
    await deadline_has_passed(bench)
    await bench.given_out(Message)
    against = abandoned(request.order_id) if rival == "expiry" else cancel(request.order_id)
    charge = confirmed(request.order_id)
    winner, loser = (charge, against) if first == "payment" else (against, charge)
    async with Bench(build(settings(database_url))) as other:
        async with bench.service.transactions.begin() as tx:
            await tx.read_now()
            orders = await store.lock_orders(tx.connection, order_ids=[request.order_id])
            late = asyncio.create_task(other.deliver(loser))
            await until(lambda: bench.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), 10, "the rival waits")
            shell = handlers.OrderHandlers(settings(database_url))
            await shell.apply(tx, orders, [(winner, None)])
        await late
    endings = await bench.given_out(*ENDINGS, RefundRequestedV1)
    if first == "payment":
        assert {type(one) for one in endings} == {OrderPaidV1}
        assert await status(bench, request.order_id) == "paid"
    else:
        assert await status(bench, request.order_id) == ("expired" if rival == "expiry" else "cancelled")
        assert [type(one) for one in endings].count(RefundRequestedV1) == 1


async def test_a_refund_takes_tickets_first_then_stock_and_money(bench: Bench) -> None:
    request = checkout()
    order_id = request.order_id
    await bench.deliver(request, reserved(order_id), confirmed(order_id), issued(order_id))
    await bench.given_out(Message)
    async with bench.service.transactions.begin() as tx:
        await tx.read_now()
        order = (await store.lock_orders(tx.connection, order_ids=[order_id]))[order_id]
        decision = decide_refund(order, why="rain")
        assert isinstance(decision, Decision)
        await handlers.OrderHandlers(settings("postgres://x")).decide_one(tx, order, decision)
    (revoke,) = await bench.given_out(RevokeRequestedV1, OrderRefundedV1, RefundRequestedV1)
    assert isinstance(revoke, RevokeRequestedV1)
    assert revoke.numbers == (1, 2)
    await bench.deliver(TicketsRevokedV1(order_id=order_id, numbers=(1, 2)))
    stock, money = await bench.given_out(OrderRefundedV1, RefundRequestedV1)
    assert isinstance(stock, OrderRefundedV1)
    assert isinstance(money, RefundRequestedV1)
    assert [line.quantity for line in stock.lines] == [2]
    assert (money.amount_kobo, money.purpose, money.why) == (1_000_000, "organiser", "rain")
    refunded = PaymentRefundedV1(**money.model_dump())
    await bench.deliver(refunded, refunded)
    assert await status(bench, order_id) == "refunded"
    (view,) = await bench.given_out(OrderChangedV1)
    assert (view.tickets, view.revoked_numbers, view.refunds[0].status) == ((), (1, 2), "refunded")


QUESTIONS: list[tuple[str, Sequence[str], Sequence[type[Message]]]] = [
    ("no stock answer", [], [OrderCreatedV1]),
    ("no end after the deadline", ["reserved"], [OrderCreatedV1]),
    ("no tickets", ["reserved", "confirmed"], [OrderPaidV1]),
]


@pytest.mark.parametrize(("what", "heard", "asked"), QUESTIONS, ids=[one[0] for one in QUESTIONS])
async def test_whoever_waits_asks_again(
    bench: Bench,
    database_url: str,
    templates: Templates,
    what: str,
    heard: Sequence[str],
    asked: Sequence[type[Message]],
) -> None:
    request = checkout()
    messages = {"reserved": reserved(request.order_id), "confirmed": confirmed(request.order_id)}
    await bench.deliver(request, *(messages[name] for name in heard))
    await bench.given_out(Message)
    (loop,) = [one for one in bench.service.loops if one.name == "ask again"]
    await loop.run_once()
    assert await bench.given_out(Message) == [], "not yet"
    await move_clock(templates.admin(database_url), 2000)
    pause = await loop.run_once()
    assert [type(one) for one in await bench.given_out(Message)] == list(asked)
    assert pause == pytest.approx(5, abs=1)
    await move_clock(templates.admin(database_url), 2010)
    assert await loop.run_once() == pytest.approx(10, abs=1), "each pause is twice the last"


def story(kind: str, order_id: UUID) -> Sequence[Message]:
    """The messages of one order as its referee hears them, with one or more of them twice."""
    request = checkout(order_id)
    stock = reserved(order_id)
    charge = confirmed(order_id)
    refused = StockRejectedV1(order_id=order_id, reason="sold_out", tier_id=TIER)
    stories: dict[str, Sequence[Message]] = {
        "paid": [request, stock, stock, charge, charge, issued(order_id)],
        "rejected": [request, request, refused, refused],
        "expired": [request, stock, stock, abandoned(order_id, why="declined"), abandoned(order_id, why="declined")],
        "cancelled": [request, stock, stock, cancel(order_id), cancel(order_id)],
        "payment or cancel": [request, stock, charge, charge, cancel(order_id)],
        "payment or expiry": [request, stock, charge, charge, abandoned(order_id, why="declined")],
        "two charges": [request, stock, charge, confirmed(order_id, 2), issued(order_id)],
    }
    return stories[kind]


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("paid", {("paid", 0)}),
        ("rejected", {("rejected", 0)}),
        ("expired", {("expired", 0)}),
        ("cancelled", {("cancelled", 0)}),
        ("payment or cancel", {("paid", 0), ("cancelled", 1)}),
        ("payment or expiry", {("paid", 0), ("expired", 1)}),
        ("two charges", {("paid", 1)}),
    ],
)
async def test_every_order_of_arrival_ends_in_an_allowed_outcome(
    bench: Bench, kind: str, ends: set[tuple[str, int]], note: Note
) -> None:
    sequences = list(permutations(range(len(story(kind, uuid4())))))
    (loop,) = [one for one in bench.service.loops if one.name == "ask again"]
    seen = set()
    for start in range(0, len(sequences), 60):
        orders = {uuid4(): sequence for sequence in sequences[start : start + 60]}
        for order_id, sequence in orders.items():
            messages = story(kind, order_id)
            await bench.deliver(*(messages[position] for position in sequence))
        await loop.run_once()
        given = await bench.given_out(*ENDINGS, RefundRequestedV1)
        for order_id, sequence in orders.items():
            about = [one for one in given if one.order_id == order_id]
            endings = {type(one) for one in about if not isinstance(one, RefundRequestedV1)}
            assert len(endings) == 1, f"{sequence}: left pending as {endings}"
            charges = {one.charge_id for one in about if isinstance(one, RefundRequestedV1)}
            end = (await status(bench, order_id), len(charges))
            assert end in ends, sequence
            seen.add(end)
    assert seen == ends, "each allowed outcome is reached by some order of arrival"
    assert await bench.value("SELECT count(*) FROM early_messages") == 0
    note(f"orders, {kind}: {len(sequences)} sequences")


async def test_a_batch_of_500_checkouts_is_one_transaction(bench: Bench) -> None:
    await bench.deliver_batch(*(checkout() for _ in range(500)))
    rows = await bench.fetch("SELECT type, event_count FROM outbox")
    assert [(row["type"], row["event_count"]) for row in rows] == [("order.created.v1", 500)]
    assert await bench.value("SELECT count(*) FROM inbox") == 1


async def test_stock_that_was_given_back_is_asked_about_until_it_is_answered(
    bench: Bench, database_url: str, templates: Templates
) -> None:
    request = checkout()
    order_id = request.order_id
    await bench.deliver(request, reserved(order_id, total_kobo=0), issued(order_id))
    async with bench.service.transactions.begin() as tx:
        await tx.read_now()
        order = (await store.lock_orders(tx.connection, order_ids=[order_id]))[order_id]
        decision = decide_refund(order, why="rain")
        assert isinstance(decision, Decision)
        await handlers.OrderHandlers(settings("postgres://x")).decide_one(tx, order, decision)
    await bench.deliver(TicketsRevokedV1(order_id=order_id, numbers=(1, 2)))
    (told,) = await bench.given_out(OrderRefundedV1)
    await move_clock(templates.admin(database_url), 60)
    (loop,) = [one for one in bench.service.loops if one.name == "ask again"]
    await loop.run_once()
    assert await bench.given_out(OrderRefundedV1) == [told]
    await bench.deliver(StockReturnedV1.model_validate({"order_id": order_id, "lines": told.model_dump()["lines"]}))
    await move_clock(templates.admin(database_url), 6000)
    await loop.run_once()
    assert await bench.given_out(OrderRefundedV1) == []
