"""What an organiser may give back of an order. Pure."""

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from services.orders.domain import Decision
from services.orders.domain_messages import ending_of, revoke_requested
from services.orders.domain_order import Order, WantedRefund, line_of_number, places_of, ticket_numbers

#: The names of refusals, in the order in which they are looked for.
RefusalCode = Literal[
    "key_reused",
    "not_refundable",
    "unknown_number",
    "already_refunded",
    "already_admitted",
    "refund_in_progress",
    "not_enough_places",
]


#: What is asked for when an event is cancelled.
EVENT_CANCELLED = "event cancelled"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is given back, and the tickets it is about."""

    code: RefusalCode
    detail: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TierPlaces:
    """So many places of one tier, whichever they are."""

    tier_id: UUID
    quantity: int


#: Tickets by number, places of one tier, or everything that is left.
Choice = tuple[int, ...] | TierPlaces | None


def decide_refund(
    order: Order, *, why: str, refund_id: UUID | None = None, choice: Choice = None, asked: str = ""
) -> Decision | Refused:
    """Take tickets back and return their money: tickets first.

    A refund may begin while another is under way, since no ticket is ever in both. ``refund_id`` is what makes a repeat
    the same refund; ``asked`` tells it from another request under the same id.
    """
    known = next((one for one in order.details.wanted if one.refund_id == refund_id), None)
    if known is not None and refund_id is not None:
        if known.asked != asked:
            return Refused("key_reused", "this key asked for another refund of this order")
        return Decision(order)
    if order.status not in {"paid", "refunding"}:
        return Refused("not_refundable", f"the order is {order.status}")
    numbers = _numbers_of(order, choice)
    if isinstance(numbers, Refused):
        return numbers
    wanted = WantedRefund(refund_id=refund_id, numbers=numbers, why=why, asked=asked)
    refunding = replace(order.learn(wanted=(*order.details.wanted, wanted)), status="refunding")
    return Decision(refunding, [revoke_requested(order, wanted)])


def _numbers_of(order: Order, choice: Choice) -> tuple[int, ...] | Refused:
    free = tuple(number for number in ticket_numbers(order) if number not in order.wanted_numbers)
    if isinstance(choice, TierPlaces):
        lines = line_of_number(order)
        of_tier = tuple(number for number in free if lines[number].tier_id == choice.tier_id)
        if len(of_tier) < choice.quantity:
            return Refused("not_enough_places", f"the order has {len(of_tier)} places of this tier to give back")
        # The last ones: whoever bought for a group keeps the first tickets.
        return of_tier[-choice.quantity :]
    if choice is None:
        return free or Refused("not_refundable", "no place of this order is left to give back")
    return _named(order, tuple(sorted(set(choice))), free)


def _named(order: Order, numbers: tuple[int, ...], free: tuple[int, ...]) -> tuple[int, ...] | Refused:
    details = order.details
    places = places_of(order, numbers)
    if places is None:
        unknown = tuple(number for number in numbers if places_of(order, [number]) is None)
        return Refused("unknown_number", "the order has no such ticket", unknown)
    refusals: tuple[tuple[RefusalCode, str, set[int]], ...] = (
        ("already_refunded", "these tickets were given back before", set(places) & set(details.revoked_numbers)),
        ("already_admitted", "these tickets were let in, and stay", set(places) & set(details.refused_numbers)),
        ("refund_in_progress", "these tickets are being given back now", set(places) - set(free)),
    )
    return next((Refused(code, text, tuple(sorted(about))) for code, text, about in refusals if about), places)


def decide_event_cancelled(order: Order, *, why: str, refund_id: UUID) -> Decision:
    """What becomes of an order whose event is cancelled: unpaid it ends, paid it gives back whatever is left of it."""
    told = order.learn(event_cancelled=True, why=why)
    if order.status == "pending":
        ended = replace(told, status="cancelled")
        return Decision(ended, [ending_of(ended)])
    decision = decide_refund(told, why=why, refund_id=refund_id, asked=EVENT_CANCELLED)
    # Nothing may be left to give back: other refunds have all of it, or everybody was let in.
    return Decision(told) if isinstance(decision, Refused) else decision
