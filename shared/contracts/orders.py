"""Messages the orders service, the referee, gives out."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from shared.contracts.base import (
    MAX_LINES,
    ChargeId,
    Currency,
    DisputeStatus,
    Email,
    IssuedTicket,
    Item,
    Items,
    Kobo,
    Message,
    OrderMessage,
    OrderReference,
    OrderStatus,
    Part,
    PaymentReference,
    PricedLine,
    PricedLines,
    Quantity,
    RefundPurpose,
    RejectionReason,
    Sentence,
    SoldEvent,
    TicketNumber,
    Version,
)
from shared.contracts.mailer import MailKind


class OrderCreatedV1(OrderMessage):
    """An order exists and asks for stock; it is payable until ``expires_at``."""

    TYPE: ClassVar[str] = "order.created.v1"

    reference: OrderReference
    email: Email
    lines: Items
    expires_at: AwareDatetime


class OrderRejectedV1(OrderMessage):
    """The order ended because its stock was refused."""

    TYPE: ClassVar[str] = "order.rejected.v1"

    reason: RejectionReason
    tier_id: UUID | None = None
    email: Email


class OrderPaidV1(OrderMessage):
    """The order left ``pending`` by payment. ``charge_id`` is absent when the total is zero."""

    TYPE: ClassVar[str] = "order.paid.v1"

    reference: OrderReference
    email: Email
    event: SoldEvent
    lines: PricedLines
    total_kobo: Kobo
    currency: Currency
    expires_at: AwareDatetime
    charge_id: ChargeId | None = None


class OrderExpiredV1(OrderMessage):
    """The order left ``pending`` because nobody paid in time."""

    TYPE: ClassVar[str] = "order.expired.v1"

    reference: OrderReference
    expires_at: AwareDatetime
    paying_started: bool | None = None
    email: Email


class OrderCancelledV1(OrderMessage):
    """The order left ``pending`` because the buyer gave it up."""

    TYPE: ClassVar[str] = "order.cancelled.v1"

    reference: OrderReference | None = None
    expires_at: AwareDatetime | None = None
    paying_started: bool | None = None
    email: Email | None = None


class RevokeRequestedV1(OrderMessage):
    """Tickets are to be revoked, the first step of an organiser's refund."""

    TYPE: ClassVar[str] = "revoke.requested.v1"
    COMMAND: ClassVar[bool] = True

    numbers: Annotated[tuple[TicketNumber, ...], Field(min_length=1, max_length=20_000)]


class RefundRequestedV1(OrderMessage):
    """Money of one charge is to go back. Unique by charge, purpose and ``refund_id``.

    An organiser may give back the places of one order in several refunds; each has a ``refund_id`` of its own and names
    its tickets. For every other purpose there is one refund a charge, without an id.
    """

    TYPE: ClassVar[str] = "refund.requested.v1"
    COMMAND: ClassVar[bool] = True

    charge_id: ChargeId
    reference: PaymentReference
    amount_kobo: Kobo
    currency: Currency
    purpose: RefundPurpose
    email: Email | None = None
    why: Sentence
    refund_id: UUID | None = None
    numbers: tuple[TicketNumber, ...] = ()


class ReturnedLine(Part):
    """Places given back so far of one tier: a running total, so that a repeat adds nothing."""

    tier_id: UUID
    quantity: Quantity


class OrderRefundedV1(OrderMessage):
    """Places of a paid order were given back: their tickets are revoked, their stock returns."""

    TYPE: ClassVar[str] = "order.refunded.v1"

    lines: Annotated[tuple[ReturnedLine, ...], Field(min_length=1, max_length=MAX_LINES)]
    amount_kobo: Kobo
    charge_id: ChargeId | None = None


class CancellationStartedV1(Message):
    """The answer to ``EventCancelled``: it is kept, and every order of the event gets its turn."""

    TYPE: ClassVar[str] = "cancellation.started.v1"

    event_id: UUID

    @property
    def subject(self) -> UUID:
        """The event's id."""
        return self.event_id


class DisputeNotedV1(OrderMessage):
    """The answer to ``DisputeChanged``: orders knows, and this is what has become of the tickets it paid for."""

    TYPE: ClassVar[str] = "dispute.noted.v1"
    COMMAND: ClassVar[bool] = True

    dispute_id: ChargeId
    status: DisputeStatus
    tickets: Literal["none", "valid", "blocked", "revoked", "partly"]


class BlockRequestedV1(OrderMessage):
    """The order's tickets are to be blocked, or not any more: not let in, and not revoked. ``version`` rises."""

    TYPE: ClassVar[str] = "block.requested.v1"
    COMMAND: ClassVar[bool] = True

    blocked: bool
    version: Version


class DisputeView(Part):
    """A dispute of the order's money."""

    dispute_id: ChargeId
    charge_id: ChargeId
    amount_kobo: Kobo
    status: DisputeStatus
    due_at: AwareDatetime | None = None


class RefundView(Part):
    """A refund as its buyer sees it."""

    charge_id: ChargeId
    amount_kobo: Kobo
    purpose: RefundPurpose
    status: Annotated[str, StringConstraints(pattern=r"^(requested|refunded|failed)$")]
    refund_id: UUID | None = None
    #: The tickets it pays back, where it is an organiser's.
    numbers: tuple[TicketNumber, ...] | None = None


class MailProblem(Part):
    """A mail about the order that was given up, and not sent again since. ``why`` is for operators."""

    kind: MailKind
    email: Email
    why: Sentence
    #: Whether it went to somebody who holds a ticket and did not buy it.
    to_holder: bool = False


class OrderChangedV1(OrderMessage):
    """The whole public view of an order, once a change; ``version`` rises by one with each."""

    TYPE: ClassVar[str] = "order.changed.v1"

    version: Version
    status: OrderStatus
    reference: OrderReference | None = None
    email: Email | None = None
    request_hash: str | None = None
    items: tuple[Item, ...] = ()
    reason: RejectionReason | None = None
    tier_id: UUID | None = None
    event: SoldEvent | None = None
    lines: tuple[PricedLine, ...] = ()
    total_kobo: Kobo | None = None
    currency: Currency | None = None
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    paid_at: AwareDatetime | None = None
    tickets: tuple[IssuedTicket, ...] = ()
    revoked_numbers: tuple[TicketNumber, ...] = ()
    refunds: tuple[RefundView, ...] = ()
    #: Tickets that were issued again to somebody else: they are not valid, and the new ones are not the buyer's.
    passed_on_numbers: tuple[TicketNumber, ...] = ()
    mail_problems: tuple[MailProblem, ...] = ()
    #: Tickets that are being given back and may still be refused, and those that were: let in already, they stay.
    refunding_numbers: tuple[TicketNumber, ...] = ()
    refused_numbers: tuple[TicketNumber, ...] = ()
    #: Whether the order ended, or is given back, because its event was cancelled, and the organiser's words about it.
    event_cancelled: bool = False
    why: Sentence | None = None
    #: Disputes of its money, and whether its tickets are blocked while one is open.
    disputes: tuple[DisputeView, ...] = ()
    blocked: bool = False
