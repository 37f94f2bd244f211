"""Which admission of a ticket counts and which are in conflict, whatever the order in which they became known. Pure.

An admission is a fact: somebody was let in, at a gate, at a time that the device says. An undo is a fact too. What
follows from the facts is decided from all of them at once, so the order in which devices sync cannot matter.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.ticketing.device import Outcome
from services.ticketing.domain import TicketKey

#: Why an admission does not count.
ConflictKind = Literal["admitted_twice", "revoked", "blocked", "other_event", "unknown_ticket"]


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody was let in. ``ticket`` is ``None`` where we issued no ticket of this code."""

    admission_id: UUID
    event_id: UUID
    code: str
    ticket: TicketKey | None
    gate: str
    who: str
    admitted_at: datetime
    is_undone: bool = False

    @property
    def rank(self) -> tuple[datetime, str, UUID]:
        """The first counts: by the devices' clocks, then by gate, then by id, so that no two are equal."""
        return self.admitted_at, self.gate, self.admission_id


@dataclass(frozen=True, slots=True)
class GateTicket:
    """A ticket as a gate asks for it. ``key_accepted``: whether the key of what was shown was good when it signed."""

    key: TicketKey
    event_id: UUID
    code: str
    tier_id: UUID
    tier_name: str
    revoked_at: datetime | None
    is_blocked: bool
    key_accepted: bool
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """An admission that does not count, and the one of the same ticket that does."""

    kind: ConflictKind
    admission: Admission
    counting: Admission | None
    revoked_at: datetime | None


def decide_checkin(ticket: GateTicket | None, *, event_id: UUID, now: datetime, is_admitted: bool) -> Outcome:
    """Whether a gate of ``event_id`` lets this ticket in now. Call it with the ticket's row locked."""
    if ticket is None:
        return "unknown_ticket"
    checks: list[tuple[bool, Outcome]] = [
        (ticket.event_id != event_id, "other_event"),
        (ticket.revoked_at is not None, "revoked"),
        (ticket.is_blocked, "blocked"),
        (not ticket.key_accepted, "key_compromised"),
        (is_admitted, "already_admitted"),
        (now < ticket.opens_at, "not_valid_yet"),
        (now > ticket.closes_at, "not_valid_any_more"),
    ]
    return next((outcome for applies, outcome in checks if applies), "valid")


def decide_counting(
    admissions: Iterable[Admission], *, events: Mapping[TicketKey, UUID], refused: Collection[TicketKey]
) -> dict[TicketKey, Admission]:
    """The admission that counts of each ticket that has one. ``events``: each ticket's event.

    None counts of a refused ticket: it is never both admitted and revoked, and of a blocked one it is decided later.
    """
    counting: dict[TicketKey, Admission] = {}
    for one in admissions:
        ticket = one.ticket
        if ticket is None or one.is_undone or ticket in refused or events[ticket] != one.event_id:
            continue
        if ticket not in counting or one.rank < counting[ticket].rank:
            counting[ticket] = one
    return counting


def decide_conflict(
    admission: Admission,
    *,
    ticket_event: UUID | None,
    revoked_at: datetime | None,
    counting: Admission | None,
) -> Conflict | None:
    """What is wrong with an admission; ``None`` for one that counts or was undone."""
    if admission.is_undone or (counting is not None and counting.admission_id == admission.admission_id):
        return None
    kind: ConflictKind = "admitted_twice"
    if admission.ticket is None:
        kind = "unknown_ticket"
    elif ticket_event != admission.event_id:
        kind = "other_event"
    elif revoked_at is not None:
        kind = "revoked"
    elif counting is None:
        # Nothing else keeps a valid ticket's first admission from counting.
        kind = "blocked"
    return Conflict(kind, admission, counting, revoked_at)
