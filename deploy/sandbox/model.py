"""The records of the ledger. All are frozen: a change is a new value, saved in the place of the old one.

Money is an integer in the currency's subunit (kobo for NGN), times are seconds since the epoch.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

CURRENCIES: Final = ("NGN", "GHS", "ZAR", "USD", "KES", "XOF", "EGP", "RWF")
DOMAINS: Final = ("test", "live")

CARD_SUCCEEDS: Final = "4084084084084081"
CARD_DECLINED: Final = "4084080000005408"
CARD_REFUND_FAILS: Final = "4084080000671803"
CARD_REFUND_NEEDS_ATTENTION: Final = "4084080000671902"
CARDS: Final = (CARD_SUCCEEDS, CARD_DECLINED, CARD_REFUND_FAILS, CARD_REFUND_NEEDS_ATTENTION)

CAPTURED: Final = frozenset({"success", "reversal-pending", "reversed"})
REFUND_OPEN: Final = frozenset({"pending", "processing", "needs-attention"})
DISPUTE_STATUSES: Final = (
    "awaiting-merchant-feedback",
    "awaiting-bank-feedback",
    "pending",
    "resolved",
    "archived",
)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction; it is a charge as soon as `paid_at` is set."""

    id: int
    reference: str
    access_code: str
    email: str
    customer_id: int
    requested_amount: int
    amount: int
    currency: str
    domain: str
    status: str
    created_at: float
    metadata: Any = ""
    callback_url: str | None = None
    gateway_response: str = "The transaction was not completed"
    paid_at: float | None = None
    fees: int | None = None
    card: str = CARD_SUCCEEDS
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back. `outcome` is where it ends unless somebody decides otherwise."""

    id: int
    transaction: int
    reference: str
    amount: int
    currency: str
    domain: str
    status: str
    outcome: str
    created_at: float
    updated_at: float
    refunded_by: str
    customer_note: str
    merchant_note: str
    webhooks: int = 1


@dataclass(frozen=True, slots=True)
class Dispute:
    """A chargeback or fraud claim against one charge."""

    id: int
    transaction: int
    reference: str
    refund_amount: int
    currency: str
    domain: str
    status: str
    category: str
    created_at: float
    updated_at: float
    due_at: float
    resolution: str | None = None
    resolved_at: float | None = None
    evidence: dict[str, Any] | None = None
    attachments: str = ""
    history: tuple[dict[str, Any], ...] = ()
    messages: tuple[dict[str, Any], ...] = ()
    webhooks: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of one webhook, with every attempt to hand it over."""

    id: int
    event: str
    reference: str
    body: str
    url: str
    status: str
    created_at: float
    due_at: float
    attempts: tuple[dict[str, Any], ...] = ()
    # Made with the key of the moment it was sent; a copy without one is signed with the key of each attempt.
    signature: str = ""


Record = Transaction | Refund | Dispute | Delivery
KINDS: Final[dict[str, type[Record]]] = {
    "transaction": Transaction,
    "refund": Refund,
    "dispute": Dispute,
    "delivery": Delivery,
}


def iso(at: float | None) -> str | None:
    """Write seconds since the epoch as Paystack writes times (``2026-09-24T00:00:05.000Z``)."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
