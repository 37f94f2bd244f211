"""What may become of a dispute. Pure."""

from dataclasses import dataclass, replace
from typing import Any, Final

from deploy.sandbox import refusals
from deploy.sandbox.model import CAPTURED, Dispute, Transaction, iso
from deploy.sandbox.money import parse_amount
from deploy.sandbox.refusals import Refusal

MERCHANT_SECONDS: Final = 16 * 3600.0
_EVIDENCE: Final = ("customer_email", "customer_name", "customer_phone", "service_details")


@dataclass(frozen=True, slots=True)
class Resolution:
    """A well-formed request to resolve a dispute."""

    resolution: str
    message: str
    refund_amount: int


def decide_dispute(
    dispute_id: int, charge: Transaction, *, amount: int | None, category: str, due_seconds: float, now: float
) -> Dispute | Refusal:
    """Open a dispute against a captured charge."""
    if charge.status not in CAPTURED:
        return refusals.NOT_PAID
    refund_amount = charge.amount if amount is None else amount
    if refund_amount > charge.amount:
        return refusals.DISPUTE_AMOUNT
    status = "awaiting-merchant-feedback"
    return Dispute(
        id=dispute_id,
        transaction=charge.id,
        reference=charge.reference,
        refund_amount=refund_amount,
        currency=charge.currency,
        domain=charge.domain,
        status=status,
        category=category,
        created_at=now,
        updated_at=now,
        due_at=now + due_seconds,
        history=({"status": status, "by": charge.email, "createdAt": iso(now)},),
    )


def read_resolution(body: dict[str, Any]) -> Resolution | Refusal:
    """Check the body of a resolve call."""
    resolution, message = body.get("resolution"), body.get("message")
    if resolution not in {"merchant-accepted", "declined"}:
        return refusals.bad_value("resolution must be merchant-accepted or declined")
    if not isinstance(message, str) or not message:
        return refusals.missing("message")
    if not isinstance(body.get("uploaded_filename"), str):
        return refusals.missing("uploaded_filename")
    amount = read_refund_amount(body)
    return amount if isinstance(amount, Refusal) else Resolution(resolution, message, amount)


def read_refund_amount(body: dict[str, Any]) -> int | Refusal:
    """Read ``refund_amount``, which may be 0 when the claim is declined."""
    if body.get("refund_amount") in (0, "0"):
        return 0
    amount = parse_amount(body.get("refund_amount"))
    return refusals.missing("refund_amount") if amount is refusals.AMOUNT_REQUIRED else amount


def decide_resolution(
    dispute: Dispute, charge: Transaction, wanted: Resolution, now: float, by: str = "merchant"
) -> Dispute | Refusal:
    """Close a dispute; accepting it gives the money back."""
    if dispute.status == "resolved":
        return refusals.DISPUTE_CLOSED
    if wanted.refund_amount > charge.amount:
        return refusals.DISPUTE_AMOUNT
    return replace(
        dispute,
        status="resolved",
        resolution=wanted.resolution,
        refund_amount=wanted.refund_amount,
        updated_at=now,
        resolved_at=now,
        history=(*dispute.history, {"status": "resolved", "by": by, "createdAt": iso(now)}),
        messages=(*dispute.messages, {"sender": by, "body": wanted.message, "createdAt": iso(now)}),
    )


def is_money_back(dispute: Dispute) -> bool:
    """Tell whether a dispute took the money away from the merchant."""
    return dispute.resolution in {"merchant-accepted", "auto-accepted"}


def read_evidence(body: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Check the body of an evidence call."""
    for name in _EVIDENCE:
        if not isinstance(body.get(name), str) or not body[name]:
            return refusals.missing(name)
    return {
        **{name: body[name] for name in _EVIDENCE},
        "delivery_address": str(body.get("delivery_address") or ""),
        "delivery_date": str(body.get("delivery_date") or ""),
    }
