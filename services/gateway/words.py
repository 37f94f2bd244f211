"""What people read on the pages: states, refusals and money in plain words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from services.gateway.models import CatalogueTier, MailProblemView, OrderView
from shared.contracts.base import RefundPurpose

#: By the code of a problem document. Pages show these whether or not scripts run.
MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "sold_out": "There are not enough places left for this order. Nothing was charged. Choose fewer, or another "
        "kind of ticket. Places come back when other buyers do not pay in time.",
        "not_on_sale": "These tickets are not on sale at the moment. Nothing was charged.",
        "over_limit": "This is more than one order may have. Choose fewer tickets.",
        "unknown_tier": "These tickets no longer exist. Load this page again to see what is on sale.",
        "several_events": "One order holds tickets of one event only. Please order each event on its own.",
        "idempotency_key_reused": "This page has already placed an order. Load it again to place another.",
        "invalid": "Something in the form is not right. Check the number of tickets and the e-mail address.",
        "email": "Enter an e-mail address such as ada@example.com. Your tickets are sent there.",
        "nothing_chosen": "Choose at least one ticket.",
        "unavailable": "We could not reach our servers, so your order may not have arrived. Press Buy again: you will "
        "not be charged or counted twice.",
        "retrying": "The connection is slow or lost. We are trying again. It stays one order, however often we try.",
        "price_changed": "The price changed while you were choosing.",
        "already_paid": "This order is paid already, so it cannot be cancelled.",
        "internal_error": "Something went wrong on our side. Nothing was charged. Please try again.",
    }
)

PURPOSES: Mapping[RefundPurpose, str] = MappingProxyType(
    {
        "late": "the payment came after the time to pay was over",
        "double": "the order was paid twice",
        "mismatch": "the amount was not the right one",
        "organiser": "given back by the organiser",
    }
)
REFUND_STATES: Mapping[str, str] = MappingProxyType(
    {
        "requested": "on its way back to you",
        "refunded": "sent back to you",
        "failed": "could not be sent back yet; we are looking into it",
    }
)


@dataclass(frozen=True, slots=True)
class State:
    """How an order stands: a heading, a sentence, a sign that needs no colour."""

    title: str
    text: str
    #: ``wait``, ``act``, ``good``, ``over``: the look of the panel.
    kind: str
    sign: str


_REFUND_NOTE = " If money left your account, it is sent back in full without you asking for it."


def state_of(order: OrderView) -> State:
    """The order's state in words."""
    match order.status:
        case "pending":
            return _pending(order)
        case "paid":
            return _paid(order)
        case _:
            return _ended(order)


def _ended(order: OrderView) -> State:
    if order.event_cancelled:
        return _called_off(order)
    match order.status:
        case "rejected":
            return State("No tickets were held", MESSAGES[order.reason or "sold_out"], "over", "✕")
        case "expired":
            text = "The order was not paid in time, so its places went back on sale."
            return State("The time to pay is over", text + _REFUND_NOTE, "over", "✕")
        case "cancelled":
            return State("This order was cancelled", "Its places went back on sale." + _REFUND_NOTE, "over", "✕")
        case "refunding":
            text = "Tickets of this order are being given back. The money follows."
            return State("A refund is on its way", text, "wait", "…")
        case _:
            return State("This order is refunded", "Its tickets are no longer valid.", "over", "✕")


def _called_off(order: OrderView) -> State:
    words = f" The organiser writes: {order.why}" if order.why else ""
    match order.status:
        case "cancelled":
            text = "Your order was not paid yet, and has ended." + words + _REFUND_NOTE
        case "refunding":
            text = "Your tickets are given back. Your money is on its way to you." + words
        case _:
            text = "Your tickets are no longer valid." + words
    return State("The event was cancelled", text, "wait" if order.status == "refunding" else "over", "✕")


def _pending(order: OrderView) -> State:
    if order.total_kobo is None:
        return State("Your order has reached us", "We are holding your places. This takes a moment.", "wait", "…")
    if order.total_kobo == 0:
        return State("Your places are held", "There is nothing to pay. Your tickets follow in a moment.", "wait", "…")
    if order.expires_at is not None and order.expires_at <= order.server_time:
        text = "If you have just paid, stay on this page: we are asking whether the money arrived."
        return State("The time to pay is over", text, "wait", "…")
    return State("Your places are held for you", "Pay before the time is over to get your tickets.", "act", "→")


def _paid(order: OrderView) -> State:
    if not order.tickets and order.passed_on_numbers:
        text = "Whoever holds them now has them by e-mail. The codes you had are not valid any more."
        return State("Your tickets were passed on", text, "over", "✓")
    if not order.tickets:
        return State("Paid. Thank you!", "Your tickets are being made. This takes a moment.", "good", "✓")
    if all(ticket.revoked for ticket in order.tickets):
        return State("These tickets were given back", "They are no longer valid.", "over", "✕")
    text = "Show one code at the entrance for each person."
    if not any(problem.kind == "tickets" for problem in order.mail_problems):
        text += " We send them to you by e-mail too."
    return State("Here are your tickets", text, "good", "✓")


def mail_problem(problem: MailProblemView) -> str:
    """What a buyer is told whose mail was refused: the page has what the mail had."""
    if problem.kind == "tickets":
        return (
            f"Our e-mail with your tickets to {problem.email} was refused. Nothing is lost: they are on this page. "
            "Keep its address, or print it."
        )
    return f"Our e-mail about this order to {problem.email} was refused. What it said is on this page."


def ticket_list(numbers: Sequence[int]) -> str:
    """Tickets as people name them: ``ticket 3``, ``tickets 1, 2 and 5``."""
    *first, last = [str(number) for number in numbers]
    return f"tickets {', '.join(first)} and {last}" if first else f"ticket {last}"


def money(kobo: int, currency: str | None) -> str:
    """An amount as people write it: ``₦5,000`` or ``GHS 5,000.50``."""
    whole, rest = divmod(kobo, 100)
    number = f"{whole:,}" + (f".{rest:02}" if rest else "")
    return f"₦{number}" if currency == "NGN" else f"{currency or ''} {number}".strip()


def venue_time(moment: datetime, zone: ZoneInfo) -> str:
    """When an event begins, told as its tickets tell it: on the clock of the place, wherever the reader is."""
    local = moment.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y, %H:%M} ({zone.key})"


def tier_state(tier: CatalogueTier, now: datetime) -> str:
    """``open``, ``early``, ``closed``, ``gone`` or ``cancelled``.

    For display; what counts is what inventory says at checkout.
    """
    if tier.cancelled:
        return "cancelled"
    if tier.sale_starts_at is not None and tier.sale_starts_at > now:
        return "early"
    if tier.sale_ends_at is not None and tier.sale_ends_at <= now:
        return "closed"
    return "gone" if tier.available == 0 else "open"
