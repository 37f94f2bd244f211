"""How a sweep walks through Paystack's lists, and what it makes of a row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.payments.domain import Facts

ListName = Literal["transactions", "refunds"]
#: How the note of each refund of ours begins at Paystack; its own id ends it.
OUR_NOTE = "boxoffice "


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a list: by number, or by Paystack's cursor where it gave one."""

    page: int = 1
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What is swept, and where the sweep is."""

    created_from: datetime
    created_to: datetime
    place: Place


@dataclass(frozen=True, slots=True)
class KnownCharge:
    """What we have of a charge that Paystack lists. ``explained_kobo`` went back, or is on its way, as we know."""

    charge_id: str
    reference: str
    amount_kobo: int
    currency: str
    verdict: str
    explained_kobo: int


@dataclass(frozen=True, slots=True)
class ListedDispute:
    """A buyer's claim on a charge, as Paystack has it."""

    id: str
    amount_kobo: int
    resolution: str | None

    @property
    def is_lost(self) -> bool:
        """Whether it took the money: the claim was accepted, by us or because nobody answered in time."""
        return self.resolution in {"merchant-accepted", "auto-accepted"}


def decide_next_place(place: Place, *, rows: int, meta: object) -> Place | None:
    """The page after this one; ``None`` at the end.

    Paystack's lists come with either of two metas, whichever was asked for: ``page`` and ``pageCount``, or a cursor in
    ``next`` that is null, or the word "null", on the last page. An empty page ends both.
    """
    if rows == 0:
        return None
    says: Mapping[str, Any] = meta if isinstance(meta, dict) else {}
    if (count := _number(says.get("pageCount"))) is not None:
        return Place(place.page + 1) if place.page < count else None
    if "next" in says:
        cursor = says["next"]
        if not isinstance(cursor, str | int) or str(cursor) in {"", "null", str(place.cursor)}:
            return None
        return Place(place.page + 1, str(cursor)[:1000])
    return Place(place.page + 1)


def _number(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def differences(facts: Facts, known: KnownCharge) -> str | None:
    """What Paystack's list says otherwise than the charge as it was told us; ``None`` where they agree."""
    wrong = [
        f"{name} {listed} in Paystack's list, {told} when it came"
        for name, listed, told in (
            ("amount", facts.amount_kobo, known.amount_kobo),
            ("currency", facts.currency, known.currency),
            ("reference", facts.reference, known.reference),
        )
        if listed != told
    ]
    return "; ".join(wrong) or None


def id_in_note(note: str) -> UUID | None:
    """Our id of a refund, from the note that we gave it at Paystack; ``None`` for a note that is not ours."""
    if not note.startswith(OUR_NOTE):
        return None
    try:
        return UUID(note.rsplit(" ", 1)[-1])
    except ValueError:
        return None
