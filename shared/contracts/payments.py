"""Messages payments, the only service that talks to Paystack, gives out."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.base import (
    ChargeId,
    Currency,
    DisputeStatus,
    Email,
    Kobo,
    Name,
    OrderMessage,
    PaymentReference,
    RefundPurpose,
    Sentence,
    TicketNumber,
)


class StockAskedV1(OrderMessage):
    """A buyer is at the pay link of an order that payments has not heard of: what was reserved for it?"""

    TYPE: ClassVar[str] = "stock.asked.v1"
    COMMAND: ClassVar[bool] = True


class PaymentConfirmedV1(OrderMessage):
    """One charge of the right amount was made for the order."""

    TYPE: ClassVar[str] = "payment.confirmed.v1"

    charge_id: ChargeId
    reference: PaymentReference
    amount_kobo: Kobo
    currency: Currency
    paid_at: AwareDatetime
    #: Part of the amount that Paystack put on top of the price, where the customer bears its fee.
    surcharge_kobo: Kobo = 0


class PaymentAbandonedV1(OrderMessage):
    """Nobody paid: the payment is closed and no page to pay is handed out from here on.

    ``declined`` comes before the deadline and only where a declined card is set to release the stock at once.
    """

    TYPE: ClassVar[str] = "payment.abandoned.v1"

    expires_at: AwareDatetime | None = None
    paying_started: bool | None = None
    why: Literal["deadline", "declined"] = "deadline"


class _RefundMessage(OrderMessage):
    charge_id: ChargeId
    reference: PaymentReference
    amount_kobo: Kobo
    currency: Currency
    purpose: RefundPurpose
    email: Email | None = None
    why: Sentence
    #: As the request had them: which of several refunds of one charge this is, and whose tickets it pays back.
    refund_id: UUID | None = None
    numbers: tuple[TicketNumber, ...] = ()


class RefundStartedV1(_RefundMessage):
    """Paystack took the refund's order."""

    TYPE: ClassVar[str] = "refund.started.v1"


class PaymentRefundedV1(_RefundMessage):
    """Paystack says that the money went back."""

    TYPE: ClassVar[str] = "payment.refunded.v1"


class RefundFailedV1(_RefundMessage):
    """Paystack could not give the money back; a person has to."""

    TYPE: ClassVar[str] = "refund.failed.v1"


class DisputeChangedV1(OrderMessage):
    """How a dispute of the order's money stands. ``won`` and ``lost`` are final; lost means that the money is gone."""

    TYPE: ClassVar[str] = "dispute.changed.v1"

    dispute_id: ChargeId
    charge_id: ChargeId
    amount_kobo: Kobo
    currency: Currency
    status: DisputeStatus
    category: Name | None = None
    due_at: AwareDatetime | None = None
