"""What becomes of money that is to go back. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

RefundStatus = Literal["requested", "sending", "unknown", "started", "needs_attention", "processed", "failed"]


#: The request of a refund of which its charge has only one of its purpose.
ONLY_ONE = UUID(int=0)
#: How the note begins that each refund of ours has at Paystack; its own id ends it.
NOTE_PREFIX = "boxoffice "


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that is to go back, or went."""

    id: UUID
    order_id: UUID
    charge_id: str
    purpose: Literal["late", "double", "mismatch", "organiser"]
    reference: str
    amount_kobo: int
    currency: str
    email: str | None
    why: str
    status: RefundStatus
    provider_refund_id: str | None
    failure: str | None
    tries: int
    started_at: datetime | None
    traceparent: str | None
    request_id: UUID = ONLY_ONE
    numbers: tuple[int, ...] = ()

    @property
    def note(self) -> str:
        """What Paystack keeps with the refund: the only way to tell it from another of the same amount."""
        return f"{NOTE_PREFIX}{self.purpose} {self.id}"


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as Paystack has it. ``note`` is what its maker wrote there, if Paystack gives it back."""

    id: str
    amount_kobo: int
    status: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Adopt:
    """This is the refund our call made."""

    refund: ProviderRefund


@dataclass(frozen=True, slots=True)
class GoneElsewhere:
    """All of the charge went back by another hand (dashboard, dispute)."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """Part of the charge went back by another hand, so that this refund would exceed the charge. A person decides."""


@dataclass(frozen=True, slots=True)
class NotThere:
    """Our call made no refund; it may be repeated."""


def decide_lookup(
    found: Iterable[ProviderRefund], *, amount_kobo: int, charge_kobo: int, taken: frozenset[str], note: str = ""
) -> Adopt | GoneElsewhere | TooMuch | NotThere:
    """What the list of a charge's refunds says about a call of unknown outcome.

    ``taken`` are the ids that belong to other refunds of ours; ``note`` is ours, and settles it where Paystack gives
    notes back. Else the amount does, unless the note there is another refund's of ours: two places of one price may be
    given back at once. A failed refund is no refund: its money came back.
    """
    alive = [refund for refund in found if refund.status != "failed"]
    by_note = [refund for refund in alive if note and refund.note == note]
    by_amount = [
        refund for refund in alive if refund.amount_kobo == amount_kobo and not refund.note.startswith(NOTE_PREFIX)
    ]
    for refund in (*by_note, *by_amount):
        if refund.id not in taken:
            return Adopt(refund)
    gone_kobo = sum(refund.amount_kobo for refund in alive)
    if gone_kobo >= charge_kobo:
        return GoneElsewhere()
    return TooMuch() if gone_kobo + amount_kobo > charge_kobo else NotThere()


def refund_status_of(provider_status: str) -> RefundStatus:
    """Our status for Paystack's; a status nobody has told us of counts as under way."""
    known: dict[str, RefundStatus] = {
        "processed": "processed",
        "failed": "failed",
        "needs-attention": "needs_attention",
    }
    return known.get(provider_status, "started")
