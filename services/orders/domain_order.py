"""What an order is. Pure values."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.contracts.base import (
    ChargeId,
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
    tickets: tuple[IssuedTicket, ...] | None = None
    #: Ticket numbers that an organiser wants revoked, that are, and that ticketing refused to revoke.
    revoke_numbers: tuple[int, ...] = ()
    revoked_numbers: tuple[int, ...] = ()
    refused_numbers: tuple[int, ...] = ()
    #: Whether inventory answered that the revoked places are back.
    stock_returned: bool = True
    refund_why: str = ""
    refunds: tuple[RefundRecord, ...] = ()
    early: tuple[EarlyMessage, ...] = ()


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

    def learn(self, **details: Any) -> "Order":
        """The same order with these details changed."""
        return replace(self, details=self.details.model_copy(update=details))


def ticket_numbers(order: Order) -> range:
    """The numbers of all the order's tickets: they run over its lines from 1."""
    return range(1, sum(line.quantity for line in order.details.lines) + 1)


def line_of_number(order: Order) -> dict[int, PricedLine]:
    """Which line each ticket number belongs to."""
    lines = [line for line in order.details.lines for _ in range(line.quantity)]
    return dict(enumerate(lines, start=1))


def amount_of(order: Order, numbers: tuple[int, ...]) -> int:
    """What these tickets cost, in kobo."""
    lines = line_of_number(order)
    return sum(lines[number].price_kobo for number in numbers if number in lines)


def returned_lines(order: Order) -> tuple[ReturnedLine, ...]:
    """The revoked places by tier, in all."""
    lines = line_of_number(order)
    places = Counter(lines[number].tier_id for number in order.details.revoked_numbers if number in lines)
    return tuple(ReturnedLine(tier_id=tier_id, quantity=count) for tier_id, count in sorted(places.items()))
