"""What an order keeps of its tickets when some are issued again: one for each place, whatever came first."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID

import pytest

from services.orders.domain import Decision, decide
from services.orders.domain_messages import ask, view
from services.orders.domain_order import Details, Order, amount_of, places_of
from services.orders.domain_refunds import decide_refund
from shared.contracts.base import IssuedTicket, Item, PricedLine
from shared.contracts.orders import RefundRequestedV1, RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from tests.samples import EMAIL, EVENT, LATER, reference_of

NOW = datetime(2031, 1, 1, tzinfo=UTC)
ORDER_ID = UUID(int=99)
FLOOR, VIP = UUID(int=1), UUID(int=2)


def paid_order() -> Order:
    """Two places on the floor, one VIP."""
    lines = (
        PricedLine(tier_id=FLOOR, tier_name="Floor", quantity=2, price_kobo=500_000),
        PricedLine(tier_id=VIP, tier_name="VIP", quantity=1, price_kobo=900_000),
    )
    items = tuple(Item(tier_id=line.tier_id, quantity=line.quantity) for line in lines)
    details = Details(items=items, lines=lines, payment_reference="bx-77")
    return Order(
        order_id=ORDER_ID,
        reference=reference_of(ORDER_ID),
        status="paid",
        version=5,
        email=EMAIL,
        request_hash="ab" * 32,
        created_at=NOW,
        expires_at=LATER,
        details=details,
        total_kobo=1_900_000,
        currency="NGN",
        charge_id="77",
        paid_at=NOW,
    )


def ticket(number: int, place: int | None = None, email: str | None = None) -> IssuedTicket:
    tier_id = VIP if (place or number) == 3 else FLOOR
    code = f"{reference_of(ORDER_ID)}-{number:03d}-f3a2b1c0"
    return IssuedTicket(
        number=number, tier_id=tier_id, tier_name="x", code=code, qr=f"BX1.{number:010}", place=place, email=email
    )


def issued(*tickets: IssuedTicket) -> TicketsIssuedV1:
    return TicketsIssuedV1(
        order_id=ORDER_ID, email=EMAIL, reference=reference_of(ORDER_ID), event=EVENT, charge_id="77", tickets=tickets
    )


FIRST = issued(ticket(1), ticket(2), ticket(3))
#: The first place's ticket went to somebody else, the third's was lost and made anew for the buyer, who lost it again.
SECOND = issued(ticket(2), ticket(3), ticket(4, 1, "bola@example.com"))
THIRD = issued(ticket(2), ticket(4, 1, "bola@example.com"), ticket(5, 3))
FOURTH = issued(ticket(2), ticket(4, 1, "bola@example.com"), ticket(6, 3))


def after(order: Order, *messages: TicketsIssuedV1 | TicketsRevokedV1) -> Order:
    for message in messages:
        order = decide(order, message, now=NOW).order
    return order


@pytest.mark.parametrize("messages", list(permutations([FIRST, SECOND, THIRD, FOURTH])))
def test_whatever_list_comes_first_the_newest_ticket_of_each_place_counts(
    messages: tuple[TicketsIssuedV1, ...],
) -> None:
    order = after(paid_order(), *messages, *messages[:2])
    assert order == after(paid_order(), FIRST, SECOND, THIRD, FOURTH)
    shown = view(order)
    assert [one.number for one in shown.tickets] == [2, 6]
    assert shown.passed_on_numbers == (1,)
    assert "bola" not in shown.model_dump_json()
    assert ticket(4).code not in shown.model_dump_json()


def test_a_list_that_says_nothing_new_changes_nothing() -> None:
    order = after(paid_order(), FIRST, FOURTH)
    assert decide(order, FIRST, now=NOW).order == order
    assert decide(order, FOURTH, now=NOW).messages == []


def test_every_number_a_place_ever_had_names_it() -> None:
    order = after(paid_order(), FIRST, THIRD, FOURTH)
    assert places_of(order, [4]) == places_of(order, [1, 4, 1]) == (1,)
    assert places_of(order, [6, 5, 2]) == (2, 3)
    assert places_of(order, []) == ()
    assert places_of(order, [2, 7]) is None
    assert amount_of(order, places_of(order, [1, 4, 6]) or ()) == 1_400_000


def test_a_refund_of_the_whole_order_takes_each_place_once() -> None:
    decision = decide_refund(after(paid_order(), FIRST, FOURTH), why="rain")
    assert isinstance(decision, Decision)
    (asked,) = decision.messages
    assert asked == RevokeRequestedV1(order_id=ORDER_ID, numbers=(1, 2, 3)) == ask(decision.order)[0]
    done = decide(decision.order, TicketsRevokedV1(order_id=ORDER_ID, numbers=(1, 2, 3)), now=NOW)
    assert [one.amount_kobo for one in done.messages if isinstance(one, RefundRequestedV1)] == [1_900_000]
    shown = view(done.order)
    assert (shown.tickets, shown.passed_on_numbers) == ((), ())


def test_the_new_ticket_of_a_revoked_place_is_not_shown() -> None:
    decision = decide_refund(after(paid_order(), FIRST), why="rain")
    assert isinstance(decision, Decision)
    revoked = TicketsRevokedV1(order_id=ORDER_ID, numbers=(1, 2, 3))
    assert view(after(decision.order, revoked, FOURTH)).tickets == ()
    assert view(after(decision.order, FOURTH, revoked)).tickets == ()
