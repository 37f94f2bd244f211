"""20 gates, 5 of them offline, 2,000 tickets, 5 % shown twice, every order of syncing.

Each duplicate is refused at once or reported when devices sync, no honest guest is refused, and the report is the same
whatever the order in which they do.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, permutations
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from deploy.local.databases import Templates
from services.ticketing import gate_store
from services.ticketing.admissions import Admission, Conflict, decide_counting
from services.ticketing.domain import TicketKey
from services.ticketing.gate_models import OfflineAdmission
from services.ticketing.journal import Journal
from services.ticketing.pack import Pack
from shared.contracts.base import IssuedTicket
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.gate_support import Gates, gate_settings, open_event, showing
from tests.harness import Note
from tests.ticket_samples import order_paid

SEED = 20_310_517
TICKETS = 2_000
SHOWN_TWICE = 100
GATES = [f"gate {number:02d}" for number in range(1, 21)]
OFFLINE = GATES[15:]
#: Orders of syncing that are compared: of the 120, the first, the last and these many drawn ones.
ORDERS = 3


@dataclass(frozen=True)
class Showing:
    """A guest comes to a gate. ``is_honest``: it is the ticket's first showing of all."""

    ticket: IssuedTicket
    gate: str
    at: datetime
    as_qr: bool
    is_honest: bool


def evening(tickets: list[IssuedTicket], dice: random.Random) -> list[Showing]:
    """Every ticket is shown once at some gate, and some a second time, later, at any gate; by time."""
    start = datetime.now(UTC) - timedelta(hours=1)

    def show(ticket: IssuedTicket, after: float, *, is_honest: bool) -> Showing:
        at = start + timedelta(seconds=round(after, 3))
        return Showing(ticket, dice.choice(GATES), at, dice.random() < 0.7, is_honest)

    times = {ticket.code: dice.uniform(0, 1_800) for ticket in tickets}
    honest = [show(ticket, times[ticket.code], is_honest=True) for ticket in tickets]
    twice = [
        show(ticket, times[ticket.code] + dice.uniform(1, 900), is_honest=False)
        for ticket in dice.sample(tickets, SHOWN_TWICE)
    ]
    return sorted(honest + twice, key=lambda one: one.at)


class Evening:
    """Plays it: gates with internet ask, gates without decide by their pack and write down."""

    def __init__(self, gates: Gates, pack: Pack, folder: Path) -> None:
        self._gates, self._pack, self._folder = gates, pack, folder
        self.refused: list[Showing] = []
        self.let_in: list[Showing] = []

    async def play(self, showings: list[Showing]) -> dict[str, list[OfflineAdmission]]:
        """What each device without internet has to sync in the end."""
        journals = {gate: Journal(self._folder / gate.replace(" ", "-")) for gate in OFFLINE}
        for journal in journals.values():
            journal.__enter__()
        online = [one for one in showings if one.gate not in OFFLINE]
        # Each gate serves its queue one guest after the other; all gates work at once.
        await asyncio.gather(*(self._serve(one_gate, online) for one_gate in GATES[:15]))
        for one in showings:
            if one.gate in OFFLINE:
                self._decide(journals[one.gate], one)
        notes = {gate: journal.waiting() for gate, journal in journals.items()}
        for journal in journals.values():
            journal.__exit__(None, None, None)
        return {
            gate: [OfflineAdmission(**{name: getattr(one, name) for name in one.__slots__}) for one in waiting]
            for gate, waiting in notes.items()
        }

    async def _serve(self, gate: str, online: list[Showing]) -> None:
        for one in (one for one in online if one.gate == gate):
            text = one.ticket.qr if one.as_qr else one.ticket.code
            answer = await self._gates.checkins.check_in(showing(text, self._pack.event.id, gate=gate, at=one.at))
            (self.let_in if isinstance(answer, Admission) else self.refused).append(one)

    def _decide(self, journal: Journal, one: Showing) -> None:
        text = one.ticket.qr if one.as_qr else one.ticket.code
        verdict = journal.admit(self._pack, text, gate=one.gate, who="ben", now=one.at, new_id=new_id)
        (self.let_in if verdict.lets_in else self.refused).append(one)
        assert verdict.outcome in {"valid", "already_admitted"}


async def report(gates: Gates, event_id: UUID) -> tuple[set[Conflict], set[tuple[str, UUID, str]]]:
    """What counts, and what is in conflict with what."""
    async with gates.service.database.acquire() as connection:
        conflicts = await gate_store.list_conflicts(connection, event_id=event_id)
    rows = await gates.fetch(
        "SELECT code, admission_id, c.gate FROM checkins AS c JOIN tickets USING (order_id, number)"
    )
    return set(conflicts), {(row[0], row[1], row[2]) for row in rows}


async def admissions_by_device(gates: Gates) -> dict[str, list[Admission]]:
    """All admissions, by the device that synced them; those with internet under ``online``."""
    keys = [(row["order_id"], row["number"]) for row in await gates.fetch("SELECT order_id, number FROM tickets")]
    async with gates.service.database.acquire() as connection:
        every = await gate_store.list_ticket_admissions(connection, keys=keys)
    found: dict[str, list[Admission]] = {gate: [] for gate in [*OFFLINE, "online"]}
    for one in every:
        found[one.gate if one.gate in OFFLINE else "online"].append(one)
    return found


async def test_twenty_gates_five_of_them_offline(
    make_database: MakeDatabase, templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Note
) -> None:
    # A thousand fsyncs say nothing that test_ticketing_journal.py does not, and wear the disk.
    monkeypatch.setattr("services.ticketing.journal.os.fsync", lambda _: None)
    dice = random.Random(SEED)
    url = make_database("ticketing")
    event = open_event()
    async with Gates(gate_settings(url, database_connections=20)) as gates:
        orders = [order_paid((4,), serial=serial, event=event) for serial in range(TICKETS // 4)]
        await gates.deliver_batch(*orders)
        rows = await gates.fetch("SELECT number, tier_id, tier_name, code, qr FROM tickets ORDER BY code")
        tickets = [IssuedTicket.model_validate(dict(row)) for row in rows]
        assert len(tickets) == TICKETS
        await gates.publish()
        played = Evening(gates, await gates.pack(event.id), tmp_path)
        showings = evening(tickets, dice)
        notes = await played.play(showings)

        # Each ticket's owner got in, or had been preceded by who copied it: nobody was refused for nothing.
        got_in = Counter(one.ticket.code for one in played.let_in)
        assert set(got_in) == {ticket.code for ticket in tickets}
        refused_honest = [one for one in played.refused if one.is_honest]
        shown = Counter(one.ticket.code for one in showings)
        assert [one for one in refused_honest if shown[one.ticket.code] == 1] == []
        assert len(played.let_in) + len(played.refused) == TICKETS + SHOWN_TWICE

        batches = list(notes.values())
        drawn = [tuple(dice.sample(range(5), 5)) for _ in range(ORDERS)]
        every = [*islice(permutations(range(5)), 1), (4, 3, 2, 1, 0), *drawn]
        ends = []
        for order in every:
            await forget_syncs(templates.admin(url))
            for device in order:
                await gates.checkins.sync(dice.sample(batches[device], len(batches[device])))
            # One device did not hear the answer and sends all of it again.
            await gates.checkins.sync(batches[order[0]])
            ends.append(await report(gates, event.id))
        facts = await admissions_by_device(gates)
    assert ends == [ends[0]] * len(ends)
    conflicts, counting = ends[0]
    assert len(counting) == TICKETS
    # Each of the hundred second showings was refused at once or is reported, with both places and times.
    assert len(played.refused) + len(conflicts) == SHOWN_TWICE
    assert len(conflicts) == sum(got_in.values()) - TICKETS
    for one in conflicts:
        assert one.kind == "admitted_twice"
        assert one.counting is not None
        assert one.counting.rank < one.admission.rank
    assert played.refused
    assert conflicts, "a run in which nothing slipped through shows nothing"
    everywhere = settled_in_each_order([facts[gate] for gate in OFFLINE], facts["online"])
    assert len(everywhere) == 120
    settled = {(one.code, one.admission_id, one.gate) for one in everywhere[0].values()}
    assert everywhere == [everywhere[0]] * 120
    assert settled == counting
    note(
        f"20 gates, seed {SEED}: {len(played.refused)} of {SHOWN_TWICE} duplicates refused at once, {len(conflicts)} "
        f"reported, the same after {len(every)} orders of syncing"
    )


async def forget_syncs(admin_url: str) -> None:
    """Back to the moment before the first device synced. Only a superuser can take facts away."""
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("DELETE FROM checkins")
            await connection.execute("DELETE FROM admissions WHERE is_offline")
            await connection.execute(
                "INSERT INTO checkins (order_id, number, admission_id, gate, admitted_at) "
                "SELECT order_id, number, admission_id, gate, admitted_at FROM admissions"
            )
    finally:
        await connection.close()


def settled_in_each_order(facts: list[list[Admission]], online: list[Admission]) -> list[dict[TicketKey, Admission]]:
    """What counts after each of all 120 orders of syncing, by the same decisions, without the database."""
    ends = []
    for order in permutations(facts):
        known, counting = list(online), {one.ticket: one for one in online if one.ticket is not None}
        for batch in order:
            known += batch
            touched = {one.ticket for one in batch}
            seen = [one for one in known if one.ticket in touched]
            events = {one.ticket: one.event_id for one in seen if one.ticket is not None}
            counting |= decide_counting(seen, events=events, refused=())
        ends.append(counting)
    return ends
