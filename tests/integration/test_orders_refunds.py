"""Places of a paid order given back one after another and side by side: tickets first, stock back, money last, once."""

from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.orders import store
from services.orders.domain_refunds import Choice, Refused, TierPlaces, decide_refund
from services.orders.handlers import OrderHandlers
from services.orders.service import build
from shared.contracts.base import Message
from shared.contracts.inventory import StockReturnedV1
from shared.contracts.orders import OrderChangedV1, OrderRefundedV1, RefundRequestedV1, RevokeRequestedV1
from shared.contracts.payments import PaymentRefundedV1, RefundFailedV1
from shared.contracts.ticketing import RefusedRevocation, TicketsRevokedV1
from tests.databases import MakeDatabase
from tests.harness import Bench, Note
from tests.integration.test_orders import settings, status
from tests.samples import PRICE_KOBO, TIER, charge_of, checkout, confirmed, issued, reserved

#: Makes the first of several refunds of what was the only one.
MIGRATION = Path("services/orders/migrations/0003_name_each_refund.sql").read_text()
FIRST, SECOND = UUID(int=1), UUID(int=2)


@pytest.fixture
async def bench(make_database: MakeDatabase) -> AsyncIterator[Bench]:
    async with Bench(build(settings(make_database("orders")))) as one:
        yield one


async def bought(bench: Bench) -> UUID:
    """An order of two places of one tier, paid and ticketed."""
    order_id = uuid4()
    await bench.deliver(checkout(order_id), reserved(order_id), confirmed(order_id), issued(order_id))
    await bench.given_out(Message)
    return order_id


async def give_back(
    bench: Bench, order_id: UUID, choice: Choice = None, *, refund_id: UUID = FIRST, asked: str = "", why: str = "rain"
) -> Refused | None:
    """As the organiser's call does it; the refusal, if it is one."""
    async with bench.service.transactions.begin() as tx:
        await tx.read_now()
        order = (await store.lock_orders(tx.connection, order_ids=[order_id]))[order_id]
        decision = decide_refund(order, why=why, refund_id=refund_id, choice=choice, asked=asked)
        if isinstance(decision, Refused):
            return decision
        await OrderHandlers(settings("postgres://x")).decide_one(tx, order, decision)
    return None


def revoked(order_id: UUID, *numbers: int, refused: Sequence[int] = ()) -> TicketsRevokedV1:
    return TicketsRevokedV1(
        order_id=order_id,
        numbers=numbers,
        refused=tuple(RefusedRevocation(number=number, why="let in") for number in refused),
    )


def paid_back(order_id: UUID, refund_id: UUID, *numbers: int, model: Any = PaymentRefundedV1) -> Any:
    charge_id = charge_of(order_id)
    return model(
        order_id=order_id, charge_id=charge_id, reference=f"bx-{charge_id}", amount_kobo=PRICE_KOBO * len(numbers),
        currency="NGN", purpose="organiser", why="rain", refund_id=refund_id, numbers=numbers,
    )  # fmt: skip


async def last_view(bench: Bench) -> OrderChangedV1:
    return (await bench.given_out(OrderChangedV1))[-1]


async def test_one_place_is_given_back_and_the_order_goes_on_with_the_other(bench: Bench) -> None:
    order_id = await bought(bench)
    assert await give_back(bench, order_id, (2,)) is None
    (revoke,) = await bench.given_out(RevokeRequestedV1, OrderRefundedV1, RefundRequestedV1)
    assert revoke == RevokeRequestedV1(order_id=order_id, numbers=(2,))
    await bench.deliver(revoked(order_id, 2))
    stock, money = await bench.given_out(OrderRefundedV1, RefundRequestedV1)
    assert isinstance(stock, OrderRefundedV1)
    assert isinstance(money, RefundRequestedV1)
    assert ([line.quantity for line in stock.lines], stock.amount_kobo) == ([1], PRICE_KOBO)
    assert (money.amount_kobo, money.refund_id, money.numbers) == (PRICE_KOBO, FIRST, (2,))
    assert await status(bench, order_id) == "refunding"
    await bench.deliver(paid_back(order_id, FIRST, 2))
    assert await status(bench, order_id) == "paid"
    view = await last_view(bench)
    assert [ticket.number for ticket in view.tickets] == [1]
    assert (view.revoked_numbers, view.refunding_numbers) == ((2,), ())
    assert [(one.status, one.numbers, one.amount_kobo) for one in view.refunds] == [("refunded", (2,), PRICE_KOBO)]


async def test_a_second_refund_gives_back_the_rest_with_running_totals(bench: Bench) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id, (2,))
    await bench.deliver(revoked(order_id, 2), paid_back(order_id, FIRST, 2))
    await bench.given_out(Message)
    assert await give_back(bench, order_id, refund_id=SECOND) is None
    await bench.deliver(revoked(order_id, 1))
    stock, money = await bench.given_out(OrderRefundedV1, RefundRequestedV1)
    assert isinstance(stock, OrderRefundedV1)
    assert isinstance(money, RefundRequestedV1)
    assert ([line.quantity for line in stock.lines], stock.amount_kobo) == ([2], 2 * PRICE_KOBO)
    assert (money.amount_kobo, money.refund_id) == (PRICE_KOBO, SECOND)
    await bench.deliver(paid_back(order_id, SECOND, 1))
    assert await status(bench, order_id) == "refunded"


async def test_a_number_of_places_of_a_tier_takes_the_last_ones(bench: Bench) -> None:
    order_id = await bought(bench)
    assert await give_back(bench, order_id, TierPlaces(TIER, 1)) is None
    (revoke,) = await bench.given_out(RevokeRequestedV1)
    assert revoke.numbers == (2,)
    refused = await give_back(bench, order_id, TierPlaces(TIER, 2), refund_id=SECOND)
    assert refused is not None
    assert refused.code == "not_enough_places"


async def test_two_refunds_side_by_side_end_in_one_state_in_every_order_of_arrival(bench: Bench, note: Note) -> None:
    stock = {"lines": [{"tier_id": TIER, "quantity": 2}]}
    kinds = "rRmM"
    sequences = sorted({names for double in kinds for names in permutations(kinds + double)})
    for sequence in sequences:
        order_id = await bought(bench)
        await give_back(bench, order_id, (1,), refund_id=FIRST)
        await give_back(bench, order_id, (2,), refund_id=SECOND)
        messages = {
            "r": revoked(order_id, 1),
            "R": revoked(order_id, 2),
            "m": paid_back(order_id, FIRST, 1),
            "M": paid_back(order_id, SECOND, 2),
        }
        await bench.deliver(*(messages[name] for name in sequence))
        given = await bench.given_out(RefundRequestedV1, OrderRefundedV1)
        asked = {one.refund_id: one.amount_kobo for one in given if isinstance(one, RefundRequestedV1)}
        assert asked == {FIRST: PRICE_KOBO, SECOND: PRICE_KOBO}, sequence
        assert max(one.amount_kobo for one in given if isinstance(one, OrderRefundedV1)) == 2 * PRICE_KOBO, sequence
        assert await status(bench, order_id) == "refunded", sequence
        await bench.deliver(StockReturnedV1.model_validate({"order_id": order_id, **stock}))
        assert await bench.value("SELECT ask_at IS NULL FROM orders WHERE order_id = $1", order_id), sequence
    note(f"orders, two refunds: {len(sequences)} sequences")


async def test_a_ticket_that_was_let_in_keeps_its_money(bench: Bench) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id)
    await bench.deliver(revoked(order_id, 2, refused=[1]))
    (money,) = await bench.given_out(RefundRequestedV1)
    assert (money.amount_kobo, money.numbers) == (PRICE_KOBO, (2,))
    await bench.deliver(paid_back(order_id, FIRST, 2))
    assert await status(bench, order_id) == "paid"
    view = await last_view(bench)
    assert (view.refused_numbers, view.revoked_numbers) == ((1,), (2,))
    assert [ticket.number for ticket in view.tickets] == [1]


async def test_an_order_whose_every_ticket_was_let_in_is_paid_as_before(bench: Bench) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id)
    await bench.deliver(revoked(order_id, refused=[1, 2]))
    assert await bench.given_out(RefundRequestedV1, OrderRefundedV1) == []
    assert await status(bench, order_id) == "paid"


async def test_a_failed_refund_stays_under_way_until_it_is_given_after_all(bench: Bench) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id, (2,))
    await bench.deliver(revoked(order_id, 2), paid_back(order_id, FIRST, 2, model=RefundFailedV1))
    assert await status(bench, order_id) == "refunding"
    await bench.deliver(paid_back(order_id, FIRST, 2))
    assert await status(bench, order_id) == "paid"


@pytest.mark.parametrize(
    ("choice", "code", "numbers"),
    [((1,), "refund_in_progress", (1,)), ((2, 3), "unknown_number", (3,)), (TierPlaces(UUID(int=99), 1), None, ())],
)
async def test_what_cannot_be_given_back_is_named(
    bench: Bench, choice: Choice, code: str | None, numbers: tuple[int, ...]
) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id, (1,))
    await bench.given_out(Message)
    refused = await give_back(bench, order_id, choice, refund_id=SECOND)
    assert refused is not None
    assert (refused.code, refused.numbers) == (code or "not_enough_places", numbers)
    assert await bench.given_out(Message) == []


async def test_what_was_given_back_or_let_in_is_refused_by_name(bench: Bench) -> None:
    order_id = await bought(bench)
    await give_back(bench, order_id)
    await bench.deliver(revoked(order_id, 2, refused=[1]), paid_back(order_id, FIRST, 2))
    refusals = [await give_back(bench, order_id, choice, refund_id=SECOND) for choice in ((2,), (1,), None)]
    assert [one.code for one in refusals if one] == ["already_refunded", "already_admitted", "not_refundable"]


async def test_a_repeated_request_is_one_refund_and_its_key_serves_no_other(bench: Bench) -> None:
    order_id = await bought(bench)
    for _ in range(3):
        assert await give_back(bench, order_id, (2,), asked="the second") is None
    assert len(await bench.given_out(RevokeRequestedV1)) == 1
    await bench.deliver(revoked(order_id, 2), paid_back(order_id, FIRST, 2))
    await bench.given_out(Message)
    assert await give_back(bench, order_id, (2,), asked="the second") is None, "also when it is over"
    refused = await give_back(bench, order_id, (1,), asked="the first")
    assert refused is not None
    assert refused.code == "key_reused"
    assert await bench.given_out(Message) == []


async def test_a_refund_that_was_under_way_before_refunds_had_names_goes_on(bench: Bench) -> None:
    """What the release before this one has written is read as the first of several."""
    order_id = await bought(bench)
    old = '{"revoke_numbers": [1, 2], "revoked_numbers": [1], "refund_why": "storm"}'
    await bench.fetch("UPDATE orders SET status = 'refunding', details = details || $1::text::jsonb", old)
    await bench.fetch(MIGRATION)
    await bench.deliver(revoked(order_id, 1, 2))
    (money,) = await bench.given_out(RefundRequestedV1)
    assert (money.refund_id, money.amount_kobo, money.why) == (None, 2 * PRICE_KOBO, "storm")
    old_answer = paid_back(order_id, FIRST, 1, 2).model_copy(update={"refund_id": None, "numbers": ()})
    await bench.deliver(old_answer)
    assert await status(bench, order_id) == "refunded"
