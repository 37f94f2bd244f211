"""What an order is. Pure values."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.contracts.base import (
    ChargeId,
    DisputeStatus,
    IssuedTicket,
    Item,
    OrderStatus,
    PricedLine,
    RefundPurpose,
    RejectionReason,
    SoldEvent,
)
from shared.contracts.orders import ReturnedLine

ENDED: frozenset[OrderStatus] = frozenset({"rejected", "paid", "expired", "cancelled", "refunding", "refunded"})
PAID: frozenset[OrderStatus] = frozenset({"paid", "refunding", "refunded"})


class RefundRecord(BaseModel):
    """Money that is to go back to the buyer, or went."""

    model_config = ConfigDict(frozen=True)

    charge_id: ChargeId
    reference: str
    amount_kobo: int
    currency: str
    purpose: RefundPurpose
    why: str
    status: str = "requested"
    refund_id: UUID | None = None
    numbers: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, str, UUID | None]:
        """What makes it one refund, however often it is asked for or told of."""
        return self.charge_id, self.purpose, self.refund_id


class DisputeRecord(BaseModel):
    """A dispute of the order's money, as payments last told it."""

    model_config = ConfigDict(frozen=True)

    dispute_id: str
    charge_id: ChargeId
    amount_kobo: int
    status: DisputeStatus
    due_at: datetime | None = None


class WantedRefund(BaseModel):
    """Places that are to be given back, as they were asked for. Several of one order go on side by side.

    The same place is never in two of them, so that none is paid back twice.
    """

    model_config = ConfigDict(frozen=True)

    refund_id: UUID | None = None
    numbers: tuple[int, ...]
    why: str = ""
    #: What was asked, to tell a repeat under one id from another request.
    asked: str = ""
    #: Whether ticketing said of each of its tickets that it is revoked, or that it is not.
    answered: bool = False
    #: False where the money is gone already, by a lost dispute: the places come back and nothing is paid.
    pays: bool = True


class MailRecord(BaseModel):
    """The last sending heard of a mail that was refused or sent again. ``why`` is absent once it was taken."""

    model_config = ConfigDict(frozen=True)

    #: The mail's id, or its kind where the mailer named none.
    mail: str
    kind: str
    sending: int
    email: str
    why: str | None = None


class EarlyMessage(BaseModel):
    """A message that came before what it builds on; applied when that is there."""

    model_config = ConfigDict(frozen=True)

    type: str
    data: dict[str, Any]


class Details(BaseModel):
    """What is known of an order beyond its columns."""

    model_config = ConfigDict(frozen=True)

    items: tuple[Item, ...]
    event: SoldEvent | None = None
    lines: tuple[PricedLine, ...] = ()
    reason: RejectionReason | None = None
    tier_id: UUID | None = None
    payment_reference: str | None = None
    paying_started: bool | None = None
    #: All tickets ever heard of, also those that were issued again since; ``None`` before any.
    tickets: tuple[IssuedTicket, ...] | None = None
    #: What is to be given back; the places (see ``places_of``) that are revoked, and that ticketing refused to revoke.
    wanted: tuple[WantedRefund, ...] = ()
    revoked_numbers: tuple[int, ...] = ()
    refused_numbers: tuple[int, ...] = ()
    #: Whether inventory answered that the revoked places are back.
    stock_returned: bool = True
    refunds: tuple[RefundRecord, ...] = ()
    #: Whether its turn came when its event was cancelled, and the organiser's words about that.
    event_cancelled: bool = False
    why: str | None = None
    disputes: tuple[DisputeRecord, ...] = ()
    #: Whether its tickets are to be blocked, how often that was changed, and the last change ticketing has answered.
    blocked: bool = False
    block_version: int = 0
    block_noted: int = 0
    early: tuple[EarlyMessage, ...] = ()
    mails: tuple[MailRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as its row says."""

    order_id: UUID
    reference: str
    status: OrderStatus
    version: int
    email: str
    request_hash: str
    created_at: datetime
    expires_at: datetime
    details: Details
    total_kobo: int | None = None
    currency: str | None = None
    charge_id: str | None = None
    paid_at: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0
    traceparent: str | None = None

    @property
    def wanted_numbers(self) -> frozenset[int]:
        """Every place that anybody wanted to give back so far."""
        return frozenset(number for one in self.details.wanted for number in one.numbers)

    def learn(self, **details: Any) -> "Order":
        """The same order with these details changed."""
        return replace(self, details=self.details.model_copy(update=details))


# A place keeps the number of its first ticket for ever: that is the name by which it is revoked and refunded. A ticket
# that is issued again has a number of its own, and names its place.


def ticket_numbers(order: Order) -> range:
    """The order's places, as the numbers of their first tickets: they run over its lines from 1."""
    return range(1, sum(line.quantity for line in order.details.lines) + 1)


def place_of(ticket: IssuedTicket) -> int:
    """The place that a ticket is for."""
    return ticket.place or ticket.number


def places_of(order: Order, numbers: Iterable[int]) -> tuple[int, ...] | None:
    """The places of tickets by any number they ever had, each once; ``None`` when one is no ticket of this order."""
    known = {number: number for number in ticket_numbers(order)}
    known |= {ticket.number: place_of(ticket) for ticket in order.details.tickets or ()}
    asked = list(numbers)
    return tuple(sorted({known[number] for number in asked})) if known.keys() >= set(asked) else None


def current_tickets(order: Order) -> dict[int, IssuedTicket]:
    """The newest ticket heard of for each place. Numbers only rise, so the order of hearing does not matter."""
    return {place_of(ticket): ticket for ticket in sorted(order.details.tickets or (), key=lambda one: one.number)}


def passed_on(order: Order) -> tuple[int, ...]:
    """The first numbers of places whose ticket somebody else holds now."""
    return tuple(sorted(place for place, ticket in current_tickets(order).items() if ticket.email is not None))


def holders_of(order: Order) -> frozenset[str]:
    """The addresses of those who hold a ticket that they did not buy, or held one."""
    return frozenset(one.email for one in order.details.tickets or () if one.email is not None)


def line_of_number(order: Order) -> dict[int, PricedLine]:
    """Which line each place belongs to."""
    lines = [line for line in order.details.lines for _ in range(line.quantity)]
    return dict(enumerate(lines, start=1))


def amount_of(order: Order, numbers: tuple[int, ...]) -> int:
    """What these places cost, in kobo."""
    lines = line_of_number(order)
    return sum(lines[number].price_kobo for number in numbers if number in lines)


def returned_lines(order: Order) -> tuple[ReturnedLine, ...]:
    """The revoked places by tier, in all."""
    lines = line_of_number(order)
    places = Counter(lines[number].tier_id for number in order.details.revoked_numbers if number in lines)
    return tuple(ReturnedLine(tier_id=tier_id, quantity=count) for tier_id, count in sorted(places.items()))
