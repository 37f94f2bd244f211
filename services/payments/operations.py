"""What payments' routes take and give, for its OpenAPI document."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from services.payments.domain import Attempt, ChargeVerdict, Payment
from shared.contracts.base import ChargeId, Kobo, PaymentReference, RefundPurpose, TicketNumber
from shared.http.routes import (
    SAMPLE_ID,
    Answer,
    Operation,
    Parameter,
    Scheme,
    gives,
    redirects,
    refuses,
    shows,
)


class PayPage(BaseModel):
    """Paystack's page for this order."""

    authorization_url: str
    access_code: str | None
    reference: PaymentReference
    expires_at: AwareDatetime


class ChargeRow(BaseModel):
    """Money Paystack took."""

    charge_id: ChargeId
    reference: str
    order_id: UUID | None
    amount_kobo: Kobo
    fees_kobo: Kobo | None
    surcharge_kobo: Kobo
    currency: str
    domain: str
    verdict: ChargeVerdict
    why: str | None
    source: Literal["webhook", "lookup"]
    paid_at: datetime
    seen_at: datetime
    ask_at: datetime | None
    ask_count: int
    answered: Literal["paid", "refund"] | None
    traceparent: str | None


class RefundRow(BaseModel):
    """Money that goes back."""

    id: UUID
    order_id: UUID
    charge_id: ChargeId
    purpose: RefundPurpose
    request_id: UUID
    numbers: list[TicketNumber]
    reference: str
    amount_kobo: Kobo
    currency: str
    email: str | None
    why: str
    status: Literal["requested", "sending", "unknown", "started", "needs_attention", "processed", "failed"]
    provider_refund_id: str | None
    provider_status: str | None
    failure: str | None
    calls: int
    tries: int
    next_at: datetime | None
    claimed_by: UUID | None
    claimed_until: datetime | None
    traceparent: str | None
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class DisputeRow(BaseModel):
    """A buyer's bank asks for the money of a charge."""

    dispute_id: str
    charge_id: ChargeId
    reference: str
    amount_kobo: Kobo
    currency: str
    status: Literal["open", "unclear", "won", "lost"]
    provider_status: str
    resolution: str | None
    category: str | None
    due_at: datetime | None
    opened_at: datetime
    resolved_at: datetime | None
    tickets: Literal["none", "valid", "blocked", "revoked", "partly"] | None


class PaymentBooks(BaseModel):
    """Everything known of one order's money."""

    payment: Payment
    attempts: list[Attempt]
    charges: list[ChargeRow]
    refunds: list[RefundRow]
    disputes: list[DisputeRow]


_CHARGE: dict[str, Any] = {
    "charge_id": "4099260516",
    "reference": "bx-019a8f3c-1",
    "order_id": SAMPLE_ID,
    "amount_kobo": 1_000_000,
    "currency": "NGN",
    "why": None,
}
_WHEN = "2027-01-01T12:03:00Z"
_BOOKS: dict[str, Any] = {
    "payment": {
        "order_id": SAMPLE_ID,
        "amount_kobo": 1_000_000,
        "currency": "NGN",
        "order_reference": "VK9HHU",
        "email": "ada.obi@example.com",
        "expires_at": "2027-01-01T12:15:00Z",
        "traceparent": None,
        "closed_at": _WHEN,
        "grace_ends_at": None,
        "closing_why": None,
        "deadline_at": None,
        "abandoned_at": None,
        "ended": "paid",
        "paid_charge_id": "4099260516",
        "ticketed_charge_id": "4099260516",
    },
    "attempts": [
        {
            "reference": "bx-019a8f3c-1",
            "order_id": SAMPLE_ID,
            "amount_kobo": 1_000_000,
            "currency": "NGN",
            "status": "paid",
            "authorization_url": "https://checkout.paystack.com/3ni8kdavz62431k",
            "access_code": "3ni8kdavz62431k",
            "lease_until": None,
            "opened_at": "2027-01-01T12:01:00Z",
            "verify_count": 1,
            "denied_at": None,
        }
    ],
    "charges": [
        {
            **_CHARGE,
            "fees_kobo": 25_000,
            "surcharge_kobo": 0,
            "domain": "live",
            "verdict": "confirmed",
            "source": "webhook",
            "paid_at": _WHEN,
            "seen_at": _WHEN,
            "ask_at": None,
            "ask_count": 0,
            "answered": "paid",
            "traceparent": None,
        }
    ],
    "refunds": [],
    "disputes": [],
}
PAY_TOKEN = Scheme(
    "pay_token", {"type": "apiKey", "in": "query", "name": "token", "description": "In the link; it only pays."}
)
SIGNATURE = Scheme(
    "signature",
    {
        "type": "apiKey",
        "in": "header",
        "name": "x-paystack-signature",
        "description": "HMAC-SHA512 of the body's octets under our secret key, in hex.",
    },
)
_ACCEPT = Parameter(
    "Accept", "header", "A browser (text/html) gets pages, a program problem documents.", str, "application/json"
)
_AGAIN = {"Retry-After": "Seconds after which to try again; the page reloads itself."}


def _told(status: int, text: str, *codes: str, **more: Any) -> tuple[Answer, Answer]:
    """An error as a program reads it and as a person does."""
    headers = more.get("headers")
    return refuses(status, text, *codes, **more), shows(status, text, headers=headers)


PAY = Operation(
    "The link to pay",
    (
        gives(
            200,
            PayPage,
            "Where to pay, for a program that accepts application/json.",
            example={
                "authorization_url": "https://checkout.paystack.com/3ni8kdavz62431k",
                "access_code": "3ni8kdavz62431k",
                "reference": "bx-019a8f3c-1",
                "expires_at": "2027-01-01T12:15:00Z",
            },
        ),
        redirects(303, "To Paystack's page."),
        *_told(403, "The link has no token, or another order's.", "wrong_token"),
        *_told(410, "The order can be paid no more.", "order_over", "too_late", "already_paid", "nothing_to_pay"),
        *_told(502, "Paystack does not take this payment.", "provider_refused"),
        *_told(
            503,
            "Not now, but soon: the order is on its way, others come first, or Paystack is away. With over_budget "
            "comes a place in the queue, which only falls, and about how long that takes.",
            "not_known_yet",
            "over_budget",
            "provider_away",
            "crowded",
            "unavailable",
            headers=_AGAIN,
            members={
                "retry_after_seconds": 15,
                "place": 214,
                "wait_seconds": 75,
                "expires_at": "2027-01-01T12:15:00Z",
            },
        ),
    ),
    text="Opens at most one page of Paystack's for an order at a time; a second click gets the same page.",
    parameters=(_ACCEPT,),
    schemes=(PAY_TOKEN,),
    tag="For buyers",
)
RECEIVE_WEBHOOK = Operation(
    "Paystack's webhooks",
    (
        shows(200, "Kept. What it says has its effect at once, or a little later.", "text/plain", example="ok\n"),
        refuses(401, "No key of ours signed this; it leaves no trace.", "bad_signature"),
        refuses(403, "It comes from an address webhooks are not taken from.", "wrong_source"),
        refuses(408, "Its body took too long to come.", "too_slow"),
        refuses(413, "Larger than 1 MiB.", "body_too_large"),
    ),
    text="An authentic webhook is answered 200 whatever it says.",
    body=dict[str, Any],
    body_type="application/octet-stream",
    body_example={"event": "charge.success", "data": {"id": 4099260516, "reference": "bx-019a8f3c-1"}},
    schemes=(SIGNATURE,),
    tag="For Paystack",
)
COME_BACK = Operation(
    "The buyer's way back from Paystack",
    (redirects(303, "To the order's page."), *_told(404, "No payment has this reference.", "unknown_reference")),
    text="Proves nothing: Paystack is asked what became of the reference.",
    parameters=(
        Parameter("reference", "query", "The reference that was paid.", str, "bx-019a8f3c-1"),
        Parameter("trxref", "query", "The same, under the name Paystack adds as well.", str, "bx-019a8f3c-1"),
        _ACCEPT,
    ),
    tag="For buyers",
)
SHOW_PAYMENT = Operation(
    "Everything known of one order's money",
    (
        gives(200, PaymentBooks, "The payment, its attempts, charges, refunds and disputes.", example=_BOOKS),
        refuses(404, "No such payment.", "not_found"),
    ),
    roles=("operator", "organiser"),
    tag="For operators",
)
