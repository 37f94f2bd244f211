"""What may become of a transaction. Pure: state in, a new value or a refusal out."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from deploy.sandbox import refusals
from deploy.sandbox.model import CAPTURED, CARD_SUCCEEDS, Transaction
from deploy.sandbox.money import MINIMUM_KOBO, fee_for, parse_amount
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.settings import is_http_url

MERCHANT_CURRENCIES: Final = ("NGN", "USD")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9.=-]{1,100}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")

Outcome = Literal["success", "failed", "abandoned", "ongoing", "pending", "processing", "queued"]
_RESPONSES: Final[dict[str, str]] = {
    "success": "Successful",
    "failed": "Declined",
    "abandoned": "The transaction was not completed",
    "ongoing": "The transaction is ongoing",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A well-formed request to initialise a transaction."""

    email: str
    amount: int
    currency: str
    reference: str | None
    callback_url: str | None
    metadata: Any


def read_initialize(body: dict[str, Any]) -> Wanted | Refusal:
    """Check the body of an initialise call, in the order in which Paystack complains."""
    email, amount, currency = body.get("email"), parse_amount(body.get("amount")), body.get("currency") or "NGN"
    reference, callback_url = body.get("reference"), body.get("callback_url")
    refusal = _check_email(email) or _check_amount(amount, currency)
    refusal = refusal or _check_reference(reference) or _check_callback(callback_url)
    if refusal is not None or isinstance(amount, Refusal) or not isinstance(email, str):
        return refusal or refusals.INVALID_AMOUNT
    metadata = read_metadata(body.get("metadata"))
    if isinstance(metadata, Refusal):
        return metadata
    return Wanted(email, amount, currency, reference, callback_url, metadata)


def _check_email(email: object) -> Refusal | None:
    if not email:
        return refusals.EMAIL_REQUIRED
    if not isinstance(email, str) or len(email) > 254 or not _EMAIL.fullmatch(email):
        return refusals.INVALID_EMAIL
    return None


def _check_amount(amount: int | Refusal, currency: object) -> Refusal | None:
    if isinstance(amount, Refusal):
        return amount
    if currency not in MERCHANT_CURRENCIES:
        return refusals.UNSUPPORTED_CURRENCY
    return refusals.INVALID_AMOUNT if currency == "NGN" and amount < MINIMUM_KOBO else None


def _check_reference(reference: object) -> Refusal | None:
    if reference is None or (isinstance(reference, str) and _REFERENCE.fullmatch(reference)):
        return None
    return refusals.ILLEGAL_REFERENCE


def _check_callback(callback_url: object) -> Refusal | None:
    if callback_url is None or (isinstance(callback_url, str) and is_http_url(callback_url)):
        return None
    return refusals.bad_value("Invalid callback_url")


def read_metadata(value: Any) -> Any:
    """Read metadata, which may be an object or one as a JSON string; numbers inside come back as strings."""
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return _numbers_as_text(value)
    if isinstance(value, str):
        return value
    return refusals.bad_value("Invalid metadata")


def _numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


@dataclass(frozen=True, slots=True)
class Decision:
    """What the customer, the bank, or a test decides about a transaction."""

    outcome: Outcome
    amount: int | None = None
    currency: str | None = None
    domain: Literal["test", "live"] | None = None
    card: str = CARD_SUCCEEDS
    gateway_response: str | None = None
    # The page on which it happened, which Paystack's checkout adds to the metadata.
    referrer: str | None = None


def decide_outcome(transaction: Transaction, decision: Decision, now: float) -> Transaction | Refusal:
    """Apply an outcome. Money that was captured stays captured; everything else may still become a success."""
    if transaction.status in CAPTURED:
        return refusals.bad_value(f"Transaction {transaction.reference} has already been paid", 409)
    changed = replace(
        transaction,
        status=decision.outcome,
        gateway_response=decision.gateway_response or _RESPONSES.get(decision.outcome, "Pending"),
        domain=decision.domain or transaction.domain,
        card=decision.card,
        attempts=transaction.attempts + (decision.outcome != "abandoned"),
        metadata=_with_referrer(transaction.metadata, decision.referrer),
    )
    if decision.outcome != "success":
        return changed
    amount = decision.amount or transaction.requested_amount
    currency = decision.currency or transaction.currency
    return replace(changed, amount=amount, currency=currency, paid_at=now, fees=fee_for(amount, currency))


def _with_referrer(metadata: Any, referrer: str | None) -> Any:
    if referrer is None or not (metadata == "" or isinstance(metadata, dict)):
        return metadata
    return {**(metadata or {}), "referrer": referrer}


def session_is_over(transaction: Transaction, session_seconds: float, now: float) -> bool:
    """Tell whether the hosted page no longer takes money; 0 seconds means it always does."""
    return session_seconds > 0 and now >= transaction.created_at + session_seconds
