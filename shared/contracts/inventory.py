"""Messages inventory, the owner of stock and prices, gives out."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import (
    Currency,
    Email,
    Kobo,
    Message,
    Name,
    OrderMessage,
    OrderReference,
    Part,
    PricedLines,
    Quantity,
    RejectionReason,
    Sentence,
    SoldEvent,
    Version,
)

Count = Annotated[int, Field(strict=True, ge=0)]


class StockReservedV1(OrderMessage):
    """All places of an order are held for it, at these prices, until the order ends."""

    TYPE: ClassVar[str] = "stock.reserved.v1"

    reference: OrderReference
    email: Email
    event: SoldEvent
    lines: PricedLines
    total_kobo: Kobo
    currency: Currency
    expires_at: AwareDatetime


class StockRejectedV1(OrderMessage):
    """No place of the order is held. ``tier_id`` names the line that was refused."""

    TYPE: ClassVar[str] = "stock.rejected.v1"

    reason: RejectionReason
    tier_id: UUID | None = None


class ReturnedStock(Part):
    """Places of one tier that came back so far, in all."""

    tier_id: UUID
    quantity: Quantity


class StockReturnedV1(OrderMessage):
    """The answer to ``OrderRefunded``: these places are available again. Totals, so that a repeat says the same."""

    TYPE: ClassVar[str] = "stock.returned.v1"

    lines: tuple[ReturnedStock, ...] = ()


class EventCancelledV1(Message):
    """An event will not take place: nothing of it is sold any more, and its orders are to be given back."""

    TYPE: ClassVar[str] = "event.cancelled.v1"

    event_id: UUID
    title: Name
    cancelled_at: AwareDatetime
    why: Sentence = ""

    @property
    def subject(self) -> UUID:
        """The event's id."""
        return self.event_id


class TierView(Part):
    """A tier as anybody may see it."""

    id: UUID
    name: Name
    price_kobo: Kobo
    currency: Currency
    capacity: Count
    available: Count
    held: Count
    sold: Count
    max_per_order: Quantity
    sale_starts_at: AwareDatetime | None = None
    sale_ends_at: AwareDatetime | None = None
    #: True when its event was cancelled.
    cancelled: bool | None = None


class TierChangedV1(Message):
    """The whole public view of a tier, after a change; ``version`` rises. For display only."""

    TYPE: ClassVar[str] = "tier.changed.v1"

    tier_id: UUID
    version: Version
    event: SoldEvent
    tier: TierView

    @property
    def subject(self) -> UUID:
        """The tier's id: this is the one message that is not about an order."""
        return self.tier_id
