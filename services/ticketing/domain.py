"""What tickets an order gets, and which requests to revoke are granted. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.contracts.base import IssuedTicket, SoldEvent
from shared.contracts.orders import OrderPaidV1
from shared.contracts.ticketing import RefusedRevocation

#: How a request to revoke one number ended; ``None`` while the order is not known to be paid.
Outcome = Literal["revoked", "unknown_number", "already_admitted"]
#: A ticket's name across orders.
TicketKey = tuple[UUID, int]

_WHY: Mapping[str, str] = {
    "unknown_number": "the order has no ticket of this number",
    "already_admitted": "the ticket was already admitted",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a paid order, for which one ticket is to be."""

    order_id: UUID
    reference: str
    event: SoldEvent
    number: int
    tier_id: UUID
    tier_name: str
    #: The number of the place's first ticket, which names the place for ever.
    place: int
    #: The holder's address, where it is not the order's.
    email: str | None = None

    @property
    def key(self) -> TicketKey:
        """The ticket's name."""
        return self.order_id, self.number


@dataclass(frozen=True, slots=True)
class Ticket:
    """A signed place."""

    place: Place
    code: str
    qr: str
    code_key_id: str
    qr_key_id: str


@dataclass(frozen=True, slots=True)
class IssuedOrder:
    """What was kept of an order when it was paid: every later answer repeats this, not the asking message."""

    order_id: UUID
    reference: str
    email: str
    event: SoldEvent
    charge_id: str | None


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket as it stands."""

    order_id: UUID
    issued: IssuedTicket
    issued_at: datetime
    revoked_at: datetime | None
    code_key_id: str
    qr_key_id: str
    blocked_at: datetime | None = None

    @property
    def place(self) -> int:
        """The place that it is for."""
        return self.issued.place or self.issued.number

    @property
    def is_valid(self) -> bool:
        """Whether it is its holder's. A gate lets it in, unless its order is blocked for the time being."""
        return self.revoked_at is None

    @property
    def status(self) -> str:
        """``valid``, ``blocked`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.blocked_at is None else "blocked"


def decide_places(order: OrderPaidV1) -> list[Place]:
    """The order's places: numbers run over its lines in order, from 1."""
    tiers = [line for line in order.lines for _ in range(line.quantity)]
    return [
        Place(order.order_id, order.reference, order.event, number, line.tier_id, line.tier_name, place=number)
        for number, line in enumerate(tiers, start=1)
    ]


def decide_revocations(
    asked: Iterable[TicketKey], *, of_place: Mapping[TicketKey, Collection[TicketKey]], admitted: Collection[TicketKey]
) -> dict[TicketKey, Outcome]:
    """How each request ends, given those that were let in. Revoking twice is once.

    ``of_place`` has, for each ticket that exists, all tickets its place ever had: what is asked of one of them is asked
    of the place, so that a ticket which was issued again meanwhile does not escape a refund.
    """
    return {key: _decide_revocation(of_place.get(key, ()), admitted) for key in asked}


def _decide_revocation(of_place: Collection[TicketKey], admitted: Collection[TicketKey]) -> Outcome:
    if not of_place:
        return "unknown_number"
    return "already_admitted" if any(key in admitted for key in of_place) else "revoked"


def refusal_of(number: int, outcome: Outcome) -> RefusedRevocation:
    """A refusal in words."""
    return RefusedRevocation(number=number, why=_WHY[outcome])
