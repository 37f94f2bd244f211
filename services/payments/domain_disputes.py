"""What a dispute is to us. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

DisputeStatus = Literal["open", "unclear", "won", "lost"]

#: Paystack's words for a dispute that is over.
_OVER = frozenset({"resolved", "archived"})
#: How it ended, in Paystack's words: the merchant gave in, in time or by saying nothing, or did not and kept the money.
_LOST = frozenset({"merchant-accepted", "auto-accepted"})
_WON = frozenset({"declined"})


@dataclass(frozen=True, slots=True)
class ProviderDispute:
    """A dispute as Paystack has it."""

    dispute_id: str
    charge_id: str
    reference: str
    charge_status: str
    amount_kobo: int
    currency: str
    status: str
    resolution: str | None
    category: str | None
    due_at: datetime | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of one of our orders."""

    dispute_id: str
    charge_id: str
    order_id: UUID | None
    reference: str
    amount_kobo: int
    currency: str
    status: DisputeStatus
    category: str | None
    due_at: datetime | None


def dispute_status_of(one: ProviderDispute) -> DisputeStatus:
    """Our status for Paystack's. A word nobody has told us of is open, or unclear: a person looks at it either way."""
    if one.status not in _OVER:
        return "open"
    if one.resolution in _LOST:
        return "lost"
    if one.resolution in _WON:
        return "won"
    # Paystack publishes no list of resolutions; a charge it has reversed is lost whatever the word for it.
    return "lost" if one.charge_status == "reversed" and one.amount_kobo > 0 else "unclear"
