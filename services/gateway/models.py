"""What the gateway takes in and gives out over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts.base import (
    Currency,
    Email,
    IssuedTicket,
    Items,
    Kobo,
    OrderReference,
    OrderStatus,
    PricedLine,
    RejectionReason,
    Sentence,
    SoldEvent,
    TicketNumber,
    Version,
)
from shared.contracts.inventory import TierView
from shared.contracts.orders import RefundView


def _printable(text: str) -> str:
    # A NUL or another control character is no address, and PostgreSQL could not even store it.
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CheckoutBody(_Body):
    """What a buyer asks for. Every other field, above all any price, total or name, is ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "items": [{"tier_id": "018f3f5e-7c1a-7b7e-9d2f-1f6a5b0c9d10", "quantity": 2}],
                    "email": "ada@example.com",
                }
            ]
        },
    )

    items: Items
    email: Annotated[Email, AfterValidator(_printable)]


class CheckoutAnswer(_Body):
    """The outcome of a checkout. ``payment_url`` is there while the order waits for money."""

    order_id: UUID
    order_token: str
    status: OrderStatus
    total_kobo: Kobo | None
    currency: Currency | None
    lines: tuple[PricedLine, ...]
    payment_url: str | None
    expires_at: AwareDatetime | None


class PendingAnswer(_Body):
    """The request is kept; its outcome is not known yet. Follow ``Location``."""

    order_id: UUID
    order_token: str
    status: OrderStatus = "pending"


class TicketView(IssuedTicket):
    """A ticket as its buyer sees it."""

    revoked: bool = False


class MailProblemView(_Body):
    """A mail about the order that could not be delivered. The address is hinted at."""

    kind: str
    email: str


class OrderView(_Body):
    """An order as its buyer sees it. Only ``status`` is there while orders has not taken the request up."""

    order_id: UUID
    version: Annotated[int, Field(ge=0)] = 0
    status: OrderStatus = "pending"
    reference: OrderReference | None = None
    reason: RejectionReason | None = None
    tier_id: UUID | None = None
    event: SoldEvent | None = None
    lines: tuple[PricedLine, ...] = ()
    total_kobo: Kobo | None = None
    currency: Currency | None = None
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    paid_at: AwareDatetime | None = None
    payment_url: str | None = None
    tickets: tuple[TicketView, ...] = ()
    refunds: tuple[RefundView, ...] = ()
    #: Tickets that were issued again to somebody else. They are not valid any more.
    passed_on_numbers: tuple[int, ...] = ()
    #: Mails to the buyer that were refused, and not sent again since.
    mail_problems: tuple[MailProblemView, ...] = ()
    #: Tickets that were given back, that are being given back, and that could not be since they were let in.
    revoked_numbers: tuple[TicketNumber, ...] = ()
    refunding_numbers: tuple[TicketNumber, ...] = ()
    refused_numbers: tuple[TicketNumber, ...] = ()
    #: Whether the event was cancelled, and the organiser's words about it.
    event_cancelled: bool = False
    why: Sentence | None = None
    #: The server's clock, so that a countdown does not depend on the buyer's.
    server_time: datetime


class CatalogueTier(TierView):
    """A tier with the number of its version."""

    version: Version


class CatalogueEvent(SoldEvent):
    """An event with its tiers, as inventory tells it."""

    currency: Currency
    #: When it was called off, if it was.
    cancelled_at: AwareDatetime | None = None
    tiers: tuple[CatalogueTier, ...] = ()


class Catalogue(_Body):
    """All events. ``stale``: inventory does not answer, and this is what it last said."""

    events: tuple[CatalogueEvent, ...] = ()
    stale: bool = False


class EventAnswer(CatalogueEvent):
    """One event."""

    stale: bool = False
