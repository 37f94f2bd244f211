"""What may become of a refund, and what a refund makes of its charge. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deploy.sandbox import refusals
from deploy.sandbox.ledger import refunded_amount
from deploy.sandbox.model import (
    CAPTURED,
    CARD_REFUND_FAILS,
    CARD_REFUND_NEEDS_ATTENTION,
    REFUND_OPEN,
    Refund,
    Transaction,
)
from deploy.sandbox.money import parse_amount
from deploy.sandbox.refusals import Refusal

_MINIMUM: Final[dict[str, tuple[int, str]]] = {"GHS": (100, "GHS1.00"), "USD": (100, "USD1.00")}
_OUTCOMES: Final = {CARD_REFUND_FAILS: "failed", CARD_REFUND_NEEDS_ATTENTION: "needs-attention"}


@dataclass(frozen=True, slots=True)
class RefundWanted:
    """A well-formed request for a refund; no amount means all of the charge."""

    transaction: str
    amount: int | None
    currency: str | None
    customer_note: str | None
    merchant_note: str | None


def read_refund(body: dict[str, Any]) -> RefundWanted | Refusal:
    """Check the body of a refund call."""
    transaction = body.get("transaction")
    if transaction is None or transaction == "":
        return refusals.TRANSACTION_REQUIRED
    if isinstance(transaction, bool) or not isinstance(transaction, str | int):
        return refusals.bad_value("Invalid transaction")
    amount = None if body.get("amount") in (None, "") else parse_amount(body["amount"])
    if isinstance(amount, Refusal):
        return amount
    texts = {}
    for name in ("currency", "customer_note", "merchant_note"):
        value = body.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > 1_000):
            return refusals.bad_value(f'"{name}" must be a string')
        texts[name] = value
    return RefundWanted(str(transaction), amount, **texts)


def decide_refund(charge: Transaction, earlier: Sequence[Refund], wanted: RefundWanted) -> int | Refusal:
    """Return the amount to give back, or why not. Omitting the amount asks for all of the charge, even after a part."""
    if charge.status not in CAPTURED:
        return refusals.NOT_PAID
    gone = refunded_amount(earlier)
    if gone >= charge.amount or (charge.status == "reversed" and not earlier):
        return refusals.TRANSACTION_REVERSED
    if wanted.currency is not None and wanted.currency.upper() != charge.currency:
        return refusals.REFUND_CURRENCY
    amount = charge.amount if wanted.amount is None else wanted.amount
    if gone + amount > charge.amount:
        return refusals.REFUND_TOO_LARGE
    minimum, text = _MINIMUM.get(charge.currency, (1, ""))
    if amount < minimum:
        return refusals.bad_value(f"The minimum amount you may send in a single refund at this time is: {text}")
    return amount


def outcome_for_card(card: str) -> str:
    """Return where a refund to this test card ends."""
    return _OUTCOMES.get(card, "processed")


def next_refund(refund: Refund, now: float) -> Refund | None:
    """Move a refund one step on by itself; None when it moves no further without a person."""
    following = {"pending": "processing", "processing": refund.outcome}.get(refund.status)
    return None if following is None else replace(refund, status=following, updated_at=now)


def status_after(charge: Transaction, refunds: Sequence[Refund], partial_refund_status: str) -> str:
    """Return the status of a charge given all its refunds.

    What a processed *partial* refund leaves behind is not published, so the caller chooses.
    """
    if not refunds:
        return charge.status
    if any(refund.status in REFUND_OPEN for refund in refunds):
        return "reversal-pending"
    gone = refunded_amount(refunds)
    if gone == 0:
        return "success"
    return "reversed" if gone >= charge.amount else partial_refund_status
