"""Lets guests in, takes that back, and takes in what devices admitted without internet: one transaction each."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from prometheus_client import Counter, Gauge

from services.ticketing import gate_store as store
from services.ticketing.admissions import (
    Admission,
    GateTicket,
    decide_checkin,
    decide_conflict,
    decide_counting,
)
from services.ticketing.codes import read_code
from services.ticketing.domain import TicketKey
from services.ticketing.gate_models import Checkin, NewUndo, OfflineAdmission
from services.ticketing.gate_store import HeldTicket, Refusal, Undo
from services.ticketing.keyring import is_accepted
from services.ticketing.packing import Doors
from services.ticketing.qr import PREFIX, verify_qr
from services.ticketing.signing import Signer
from shared.messaging.transaction import Transaction, Transactions
from shared.runtime.metrics import Metrics

#: What became known earlier is settled, and counted no more: a block lasts as long as a dispute, well within it.
WATCHED_SECONDS = 180 * 24 * 3600.0
#: Tickets that one run of the loop settles.
SETTLE_LIMIT = 500


class AdmissionIdReused(Exception):
    """This id names another admission already: a fault of the device."""


class Unreadable(Exception):
    """What was shown cannot be a ticket."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one admission comes to: an outcome, and for a conflict its kind and the admission that counts."""

    admission_id: UUID
    outcome: str
    kind: str | None = None
    counting: Admission | None = None


class CheckIns:
    """Everything that writes admissions."""

    def __init__(self, transactions: Transactions, signer: Signer, doors: Doors, metrics: Metrics) -> None:
        self._transactions = transactions
        self._signer = signer
        self._doors = doors
        self._answers = Counter(
            "ticketing_checkins", "Tickets shown at gates with internet", ["outcome"], registry=metrics.registry
        )
        self._synced = Counter(
            "ticketing_synced_admissions", "Admissions that devices sent later", ["outcome"], registry=metrics.registry
        )

    async def check_in(self, ask: Checkin) -> Admission | Refusal:
        """Let in or refuse; a repeat under the same id gets the same answer.

        Raises Unreadable, and AdmissionIdReused where the id was another ticket's.
        """
        text = ask.ticket.strip()
        is_qr = text.startswith(PREFIX)
        code = self._code_of(text, is_qr=is_qr)
        async with self._transactions.begin() as tx:
            await tx.read_now()
            held = (await store.lock_tickets_by_code(tx.connection, codes=[code])).get(code)
            answer = await _answered(tx, ask, code) or await self._answer(tx, ask, code, held, is_qr=is_qr)
        self._answers.labels("admitted" if isinstance(answer, Admission) else answer.outcome).inc()
        return answer

    async def undo(self, admission_id: UUID, ask: NewUndo) -> Undo | None:
        """Take an admission back, once; how it was taken back first. ``None`` for an id nobody knows."""
        async with self._transactions.begin() as tx:
            admission = (await store.list_admissions(tx.connection, admission_ids=[admission_id])).get(admission_id)
            if admission is None:
                return None
            held = await store.lock_tickets_by_code(tx.connection, codes=[admission.code])
            await store.insert_undo(tx.connection, admission_id=admission_id, gate=ask.gate, who=ask.who, why=ask.why)
            await store.delete_checkin(tx.connection, admission_id=admission_id)
            await _settle(tx, held.values())
            return await store.get_undo(tx.connection, admission_id=admission_id)

    async def sync(self, asked: Sequence[OfflineAdmission]) -> list[SyncResult]:
        """Take in what a device admitted; what each comes to now. Any order, any number of times."""
        codes = {one.admission_id: _canonical(one.code) for one in asked}
        async with self._transactions.begin() as tx:
            held = await store.lock_tickets_by_code(tx.connection, codes=set(codes.values()))
            given = {one.admission_id: _admission(one, codes[one.admission_id], held) for one in reversed(asked)}
            await store.insert_admissions(tx.connection, admissions=list(given.values()), is_offline=True)
            kept = await store.list_admissions(tx.connection, admission_ids=given)
            counting = await _settle(tx, held.values())
        results = [_result(given[one.admission_id], kept[one.admission_id], counting, held) for one in asked]
        for result in results:
            self._synced.labels(result.kind or result.outcome).inc()
        return results

    async def settle(self, codes: Collection[str]) -> None:
        """Decide again which admission counts of these tickets."""
        async with self._transactions.begin() as tx:
            held = await store.lock_tickets_by_code(tx.connection, codes=codes)
            await _settle(tx, held.values())

    def _code_of(self, text: str, *, is_qr: bool) -> str:
        if is_qr:
            ticket = verify_qr(text, self._signer.public_keys)
            code = ticket.code if ticket is not None else None
        else:
            code = read_code(text)
        if code is None:
            raise Unreadable
        return str(code)

    async def _answer(
        self, tx: Transaction, ask: Checkin, code: str, held: HeldTicket | None, *, is_qr: bool
    ) -> Admission | Refusal:
        first = held.first if held is not None else None
        ticket = self._gate_ticket(held, is_qr=is_qr) if held is not None else None
        outcome = decide_checkin(ticket, event_id=ask.event_id, now=tx.now, is_admitted=first is not None)
        if held is not None and outcome == "valid":
            return await _admit(tx, ask, held)
        refusal = Refusal(ask.event_id, code, outcome, first if outcome == "already_admitted" else None)
        # A block comes off again, so nothing is remembered of it.
        if outcome != "blocked" and not await store.insert_refusal(
            tx.connection, admission_id=ask.admission_id, refusal=refusal, gate=ask.gate, who=ask.who, asked_at=ask.at
        ):
            # Only where no ticket's lock made the two wait for each other.
            return await _answered(tx, ask, code) or refusal
        return refusal

    def _gate_ticket(self, held: HeldTicket, *, is_qr: bool) -> GateTicket:
        opening = self._doors.opening(held.event, held.opens_at)
        status = (
            self._signer.signing_ring.status(held.qr_key_id, held.issued_at)
            if is_qr
            else self._signer.master_ring.status(held.code_key_id, held.issued_at)
        )
        return GateTicket(
            key=held.key,
            event_id=held.event.id,
            code=held.code,
            tier_id=held.tier_id,
            tier_name=held.tier_name,
            revoked_at=held.revoked_at,
            is_blocked=held.blocked_at is not None,
            key_accepted=is_accepted(status),
            opens_at=opening.opens_at,
            closes_at=opening.closes_at,
        )


class WatchAdmissions:
    """Counts conflicts for the metrics, and settles what could not count while its order was blocked."""

    def __init__(self, transactions: Transactions, checkins: CheckIns, metrics: Metrics) -> None:
        self._transactions = transactions
        self._checkins = checkins
        self._conflicts = Gauge(
            "ticketing_gate_conflicts", "Admissions that do not count", ["kind"], registry=metrics.registry
        )

    async def run_once(self) -> float | None:
        """Settle, then count."""
        async with self._transactions.begin() as tx:
            codes = await store.list_unsettled_codes(tx.connection, within_seconds=WATCHED_SECONDS, limit=SETTLE_LIMIT)
        if codes:
            await self._checkins.settle(codes)
        async with self._transactions.begin() as tx:
            counts = await store.count_conflicts(tx.connection, within_seconds=WATCHED_SECONDS)
        self._conflicts.clear()
        for kind, count in counts.items():
            self._conflicts.labels(kind).set(count)
        return 0 if len(codes) == SETTLE_LIMIT else None


async def _answered(tx: Transaction, ask: Checkin, code: str) -> Admission | Refusal | None:
    """What this id was answered before."""
    known = await store.list_admissions(tx.connection, admission_ids=[ask.admission_id])
    before = known.get(ask.admission_id) or await store.get_refusal(tx.connection, admission_id=ask.admission_id)
    if before is not None and (before.event_id, before.code) != (ask.event_id, code):
        raise AdmissionIdReused
    return before


async def _admit(tx: Transaction, ask: Checkin, held: HeldTicket) -> Admission:
    admission = Admission(
        admission_id=ask.admission_id,
        event_id=ask.event_id,
        code=held.code,
        ticket=held.key,
        gate=ask.gate,
        who=ask.who,
        admitted_at=ask.at,
    )
    if not await store.insert_admissions(tx.connection, admissions=[admission], is_offline=False):
        # The same id at the same instant for another ticket.
        raise AdmissionIdReused
    admitted = await store.insert_checkin(tx.connection, key=held.key, admission=admission)
    assert admitted, "a ticket was let in without its lock"
    return admission


async def _settle(tx: Transaction, held: Iterable[HeldTicket]) -> dict[TicketKey, Admission]:
    """Let the first admission of each ticket count; those that count now. Call it with the tickets locked."""
    tickets = {one.key: one for one in held}
    admissions = await store.list_ticket_admissions(tx.connection, keys=tickets)
    refused = {key for key, one in tickets.items() if one.revoked_at is not None or one.blocked_at is not None}
    events = {key: one.event.id for key, one in tickets.items()}
    counting = decide_counting(admissions, events=events, refused=refused)
    await store.set_checkins(tx.connection, counting=counting)
    by_id = {one.admission_id: one for one in admissions}
    counted = await store.list_checkins(tx.connection, keys=tickets)
    return {key: by_id[admission_id] for key, admission_id in counted.items()}


def _admission(one: OfflineAdmission, code: str, held: dict[str, HeldTicket]) -> Admission:
    return Admission(
        admission_id=one.admission_id,
        event_id=one.event_id,
        code=code,
        ticket=held[code].key if code in held else None,
        gate=one.gate,
        who=one.who,
        admitted_at=one.admitted_at,
    )


def _result(
    given: Admission, kept: Admission, counting: dict[TicketKey, Admission], held: dict[str, HeldTicket]
) -> SyncResult:
    if (given.event_id, given.code) != (kept.event_id, kept.code):
        return SyncResult(given.admission_id, "id_reused")
    if kept.is_undone:
        return SyncResult(given.admission_id, "undone")
    ticket = held.get(kept.code)
    counts = counting.get(kept.ticket) if kept.ticket is not None else None
    conflict = decide_conflict(
        kept,
        ticket_event=ticket.event.id if ticket is not None else None,
        revoked_at=ticket.revoked_at if ticket is not None else None,
        counting=counts,
    )
    if conflict is None:
        return SyncResult(given.admission_id, "counts", counting=counts)
    return SyncResult(given.admission_id, "conflict", conflict.kind, counts)


def _canonical(text: str) -> str:
    code = read_code(text)
    return str(code) if code is not None else text
