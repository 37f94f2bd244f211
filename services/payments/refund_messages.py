"""What orders and the buyer are told of a refund. Pure."""

from services.payments.domain_refunds import ONLY_ONE, Refund
from shared.contracts.payments import PaymentRefundedV1, RefundFailedV1, RefundStartedV1

RefundAnswer = RefundStartedV1 | PaymentRefundedV1 | RefundFailedV1


def started(refund: Refund) -> RefundStartedV1:
    """Paystack took the refund's order."""
    return RefundStartedV1.model_validate(_fields(refund))


def refunded(refund: Refund) -> PaymentRefundedV1:
    """The money went back."""
    return PaymentRefundedV1.model_validate(_fields(refund))


def failed(refund: Refund) -> RefundFailedV1:
    """The money could not go back."""
    return RefundFailedV1.model_validate(_fields(refund, why=refund.failure))


def answer_of(refund: Refund) -> RefundAnswer | None:
    """The state of a refund as a message; ``None`` while Paystack has not taken it."""
    match refund.status:
        case "processed":
            return refunded(refund)
        case "failed":
            return failed(refund)
        case "started" | "needs_attention":
            return started(refund)
        case _:
            return None


def _fields(refund: Refund, *, why: str | None = None) -> dict[str, object]:
    return {
        "order_id": refund.order_id,
        "charge_id": refund.charge_id,
        "reference": refund.reference,
        "amount_kobo": refund.amount_kobo,
        "currency": refund.currency,
        "purpose": refund.purpose,
        "email": refund.email,
        "why": (why or refund.why)[:500],
        "refund_id": None if refund.request_id == ONLY_ONE else refund.request_id,
        "numbers": refund.numbers,
    }
