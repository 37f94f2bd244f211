"""Whether a ticket is issued again, and as what. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.ticketing.domain import IssuedOrder, Place, TicketRow

#: Why a ticket is not issued again.
Refusal = Literal["not_found", "key_reused", "already_reissued", "revoked", "already_admitted", "blocked", "too_many"]
#: The last number that a ticket's row and its QR can hold.
MOST_NUMBER = 20_000


@dataclass(frozen=True, slots=True)
class ReissueRequest:
    """Somebody asks for a ticket to be issued again. The key makes a repeat the same request."""

    number: int
    key: str
    email: str
    why: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class Reissue:
    """A ticket that was issued again, and as which."""

    number: int
    new_number: int
    request: ReissueRequest
    reissued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why."""

    why: Refusal
    #: The ticket in its stead, where there is one.
    new_number: int | None = None


def decide_reissue(
    request: ReissueRequest,
    order: IssuedOrder,
    tickets: Sequence[TicketRow],
    *,
    earlier: Mapping[int, Reissue],
    admitted: Collection[int],
) -> Place | Reissue | Refused:
    """The place that is to get a new ticket, or the earlier answer to the same request, or why not.

    ``tickets`` are all of the order's, ``admitted`` the numbers that were let in.
    """
    ticket = next((one for one in tickets if one.issued.number == request.number), None)
    if ticket is None:
        return Refused("not_found")
    if request.number in earlier:
        return _repeat(request, earlier[request.number])
    of_place = {one.issued.number for one in tickets if one.place == ticket.place}
    new_number = max(one.issued.number for one in tickets) + 1
    why = _why_not(ticket, of_place & set(admitted), new_number)
    return _place(request, order, ticket, new_number) if why is None else Refused(why)


def _repeat(request: ReissueRequest, known: Reissue) -> Reissue | Refused:
    if known.request.key != request.key:
        return Refused("already_reissued", known.new_number)
    return known if known.request.email == request.email else Refused("key_reused", known.new_number)


def _why_not(ticket: TicketRow, admitted: Collection[int], new_number: int) -> Refusal | None:
    """``admitted``: any ticket of the place. A gate without internet may have let an old one in, and told us later."""
    if not ticket.is_valid:
        return "revoked"
    if admitted:
        return "already_admitted"
    if ticket.blocked_at is not None:
        return "blocked"
    return None if new_number <= MOST_NUMBER else "too_many"


def _place(request: ReissueRequest, order: IssuedOrder, ticket: TicketRow, new_number: int) -> Place:
    is_buyer = request.email.casefold() == order.email.casefold()
    return Place(
        order_id=order.order_id,
        reference=order.reference,
        event=order.event,
        number=new_number,
        tier_id=ticket.issued.tier_id,
        tier_name=ticket.issued.tier_name,
        place=ticket.place,
        email=None if is_buyer else request.email,
    )
