"""Paystack's wire format (https://paystack.com/docs/api): what its answers and webhooks say, as values of ours.

Lenient where it may be (amounts as numbers or text, ids of 64 bits, fields in either spelling), strict about money.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from services.payments.domain import Facts
from services.payments.domain_disputes import ProviderDispute
from services.payments.domain_refunds import ProviderRefund
from services.payments.exceptions import RateLimited, Refused, Unknown

#: Pause when a 429 does not say how long to wait.
_DEFAULT_RESET_SECONDS = 30.0


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_amount(value: object) -> object:
    """20000, "20000" and 20000.0 are the same amount; 100.5 is none."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lenient(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """``None`` for what cannot be read: it is of no consequence, and must not make money unreadable."""
    try:
        return read(value)
    except ValidationError:
        return None


def _in_utc(moment: datetime) -> datetime:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is no time in UTC") from None


def _storable(text: str) -> str:
    # NUL is legal in JSON and not in text columns, and an index takes no kilobytes. No reference of ours is like that.
    return text.replace("\x00", "\ufffd")[:200]


Text = Annotated[str, AfterValidator(_storable)]
Id = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[0-9]{1,20}$")]
Amount = Annotated[int, BeforeValidator(_as_amount), Field(strict=True, ge=0, lt=2**63)]


class Wire(BaseModel):
    """Anything Paystack says; what we do not need is not looked at."""

    model_config = ConfigDict(extra="ignore")


class _Transaction(Wire):
    id: Id
    reference: Text
    status: Text
    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    domain: Text
    paid_at: Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, WrapValidator(_lenient)] = Field(
        None, validation_alias=AliasChoices("paid_at", "paidAt")
    )
    fees: Annotated[Amount | None, WrapValidator(_lenient)] = None
    requested_amount: Annotated[Amount | None, WrapValidator(_lenient)] = None


class PageMade(Wire):
    """The answer to initialise."""

    authorization_url: Annotated[str, Field(pattern=r"^https?://")]
    access_code: str
    reference: str


class RefundMade(Wire):
    """A refund, as every call gives it."""

    id: Id
    amount: Amount
    status: str
    merchant_note: Annotated[Text | None, WrapValidator(_lenient)] = None


class DisputeListed(Wire):
    """A buyer's claim on a charge."""

    id: Id
    refund_amount: Amount
    resolution: Annotated[Text | None, WrapValidator(_lenient)] = None


def _as_id(value: object) -> object:
    """A list gives a refund's transaction as its id, another call as an object."""
    return value.get("id") if isinstance(value, dict) else value


class RefundListed(Wire):
    """A refund as the list of all refunds gives it, with the id of its charge."""

    id: Id
    amount: Amount
    status: Text
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    transaction: Annotated[Id, BeforeValidator(_as_id)]
    merchant_note: Annotated[Text | None, WrapValidator(_lenient)] = None

    def refund(self) -> ProviderRefund:
        """As the rest of payments knows a refund."""
        return ProviderRefund(self.id, self.amount, self.status, self.merchant_note or "")


class _OfTransaction(Wire):
    id: Id
    reference: Text
    status: Text


Moment = Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, WrapValidator(_lenient)]


class _Dispute(Wire):
    id: Id
    refund_amount: Annotated[Amount | None, WrapValidator(_lenient)] = None
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    status: Text
    resolution: Annotated[Text | None, WrapValidator(_lenient)] = None
    category: Annotated[Text | None, WrapValidator(_lenient)] = None
    transaction: _OfTransaction
    due_at: Moment = Field(None, validation_alias=AliasChoices("dueAt", "due_at"))
    resolved_at: Moment = Field(None, validation_alias=AliasChoices("resolvedAt", "resolved_at"))


T = TypeVar("T", bound=Wire)


def read_facts(data: object) -> Facts:
    """A transaction as verify and ``charge.success`` give it. Raises ValueError when it is none."""
    one = _Transaction.model_validate(data)
    return Facts(
        charge_id=one.id,
        reference=one.reference,
        status=one.status,
        amount_kobo=one.amount,
        currency=one.currency.upper(),
        domain=one.domain,
        paid_at=one.paid_at,
        fees_kobo=one.fees,
        requested_kobo=one.requested_amount,
    )


def read_dispute(data: object) -> ProviderDispute:
    """A dispute as the API and ``charge.dispute.*`` give it. Raises ValueError when it is none."""
    one = _Dispute.model_validate(data)
    return ProviderDispute(
        dispute_id=one.id,
        charge_id=one.transaction.id,
        reference=one.transaction.reference,
        charge_status=one.transaction.status,
        amount_kobo=one.refund_amount or 0,
        currency=one.currency.upper(),
        status=one.status,
        resolution=one.resolution,
        category=one.category,
        due_at=one.due_at,
        resolved_at=one.resolved_at,
    )


@dataclass(frozen=True, slots=True)
class Envelope:
    """A call that went well: its data, and where it is a list, what ``meta`` says of its pages."""

    data: Any
    meta: Any = None


def read_envelope(status: int, headers: Mapping[str, str], raw: bytes) -> Envelope:
    """Open an answer. ``status: true`` in it only says that the call went well, not that anybody paid.

    Raises RateLimited, Refused, or Unknown for what is no answer of Paystack's.
    """
    if status == 429:
        raise RateLimited(_reset_seconds(headers))
    try:
        envelope = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unknown(f"{status} with a body that is not JSON") from error
    if not isinstance(envelope, dict):
        raise Unknown(f"{status} with JSON that is no object")
    if status >= 500:
        raise Unknown(f"{status}: {str(envelope.get('message'))[:200]}")
    if 200 <= status < 300 and envelope.get("status") is True:
        return Envelope(envelope.get("data"), envelope.get("meta"))
    raise Refused(status, str(envelope.get("code") or "")[:100], str(envelope.get("message") or "")[:300])


def _reset_seconds(headers: Mapping[str, str]) -> float:
    try:
        return min(max(float(headers.get("x-ratelimit-reset", "")), 1.0), 600.0)
    except ValueError:
        return _DEFAULT_RESET_SECONDS


def read(model: type[T], data: object) -> T:
    """``data`` as ``model``. Raises Unknown, since whatever it is was done."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Unknown(f"the answer is no {model.__name__.strip('_').lower()}") from error
