"""Check-ins on real PostgreSQL: a ticket lets in once, whoever asks, however often and from wherever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from services.ticketing import gate_store
from services.ticketing.admissions import Admission
from services.ticketing.checkins import AdmissionIdReused, SyncResult, Unreadable
from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.device import FirstAdmission
from services.ticketing.domain_reissue import Refused
from services.ticketing.gate_models import NewUndo
from services.ticketing.gate_store import Refusal
from shared.contracts.base import IssuedTicket
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsRevokedV1
from shared.messaging.handling import Done
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.gate_support import MASTER, Gates, gate_settings, offline, open_event, showing
from tests.harness import PATIENCE_SECONDS, delivery_of
from tests.waiting import until

UNDO = NewUndo(gate="north", who="sue", why="wrong person")


@pytest.fixture
async def gates(make_database: MakeDatabase) -> AsyncIterator[Gates]:
    async with Gates(gate_settings(make_database("ticketing"))) as opened:
        yield opened


async def conflicts_at(gates: Gates, event_id: UUID) -> list[tuple[str, str, str | None]]:
    """Kind, gate, and the gate of the admission that counts."""
    async with gates.service.database.acquire() as connection:
        found = await gate_store.list_conflicts(connection, event_id=event_id)
    return [(one.kind, one.admission.gate, one.counting.gate if one.counting else None) for one in found]


async def counting_gate(gates: Gates, code: str) -> str | None:
    gate: str | None = await gates.value(
        "SELECT gate FROM checkins JOIN tickets USING (order_id, number) WHERE code = $1", code
    )
    return gate


async def test_a_ticket_is_let_in_once_as_code_or_as_qr(gates: Gates) -> None:
    event, (first, second) = await gates.sell((2,))
    admitted = await gates.admitted(showing(first.code.lower(), event.id))
    again = await gates.refused(showing(first.qr, event.id, gate="south"))
    assert (again.outcome, again.first) == ("already_admitted", FirstAdmission("north", admitted.admitted_at))
    await gates.admitted(showing(second.qr, event.id))
    assert (await gates.refused(showing(second.code, event.id))).outcome == "already_admitted"
    assert await gates.value("SELECT count(*) FROM checkins") == 2


async def test_twenty_gates_at_the_same_instant_let_one_in(make_database: MakeDatabase) -> None:
    async with Gates(gate_settings(make_database("ticketing"), database_connections=24)) as gates:
        event, (ticket,) = await gates.sell()
        start = asyncio.Event()

        async def contend(number: int) -> Admission | Refusal:
            await start.wait()
            return await gates.checkins.check_in(showing(ticket.code, event.id, gate=f"gate {number}"))

        contenders = [asyncio.create_task(contend(number)) for number in range(20)]
        start.set()
        answers = await asyncio.wait_for(asyncio.gather(*contenders), PATIENCE_SECONDS)
        (winner,) = (answer for answer in answers if isinstance(answer, Admission))
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        assert {answer.outcome for answer in refusals} == {"already_admitted"}
        firsts = {(answer.first.gate, answer.first.admitted_at) for answer in refusals if answer.first is not None}
        assert firsts == {(winner.gate, winner.admitted_at)}
        assert len(refusals) == 19
        assert await gates.value("SELECT count(*) FROM admissions") == 1


async def test_one_request_sent_twenty_times_at_once_lets_in_each_time(make_database: MakeDatabase) -> None:
    async with Gates(gate_settings(make_database("ticketing"), database_connections=24)) as gates:
        event, (ticket,) = await gates.sell()
        ask = showing(ticket.code, event.id)
        answers = await asyncio.gather(*(gates.checkins.check_in(ask) for _ in range(20)))
        assert set(answers) == {answers[0]}
        assert isinstance(answers[0], Admission)
        assert await gates.value("SELECT count(*) FROM admissions") == 1


async def test_a_repeat_is_answered_the_same_also_when_it_was_refused(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    ask, other = showing(ticket.code, event.id), showing(ticket.code, event.id, gate="south")
    admitted, refused = await gates.admitted(ask), await gates.refused(other)
    assert await gates.admitted(ask) == admitted
    await gates.checkins.undo(ask.admission_id, UNDO)
    assert await gates.refused(other) == refused
    repeated = await gates.admitted(ask)
    assert repeated.is_undone, "and so is not let in by it"
    unknown = showing("ZZ2345-001-00000000", event.id)
    assert await gates.refused(unknown) == await gates.refused(unknown)


async def test_an_id_of_another_ticket_is_refused(gates: Gates) -> None:
    event, (first, second) = await gates.sell((2,))
    ask = showing(first.code, event.id)
    await gates.admitted(ask)
    with pytest.raises(AdmissionIdReused):
        await gates.checkins.check_in(showing(second.code, event.id, admission_id=ask.admission_id))
    (result,) = await gates.checkins.sync([offline(second.code, event.id, admission_id=ask.admission_id)])
    assert result.outcome == "id_reused"
    assert await gates.value("SELECT count(*) FROM checkins") == 1


async def test_each_refusal_has_a_name_of_its_own(gates: Gates) -> None:
    event, (valid, revoked) = await gates.sell((2,))
    order_id = await gates.value("SELECT order_id FROM orders")
    await gates.deliver(RevokeRequestedV1(order_id=order_id, numbers=(2,)))
    hours = timedelta(hours=1)
    later = open_event(starts_at=datetime.now(UTC) + 13 * hours, ends_at=datetime.now(UTC) + 14 * hours)
    over = open_event(starts_at=datetime.now(UTC) - 30 * hours, ends_at=datetime.now(UTC) - 25 * hours)
    _, (early,) = await gates.sell(serial=1, event=later)
    _, (late,) = await gates.sell(serial=2, event=over)
    forged = valid.code[:-1] + ("0" if valid.code[-1] != "0" else "1")
    told = {
        "unknown_ticket": showing(forged, event.id),
        "other_event": showing(valid.code, later.id),
        "revoked": showing(revoked.qr, event.id),
        "not_valid_yet": showing(early.code, later.id),
        "not_valid_any_more": showing(late.qr, over.id),
    }
    assert {name: (await gates.refused(ask)).outcome for name, ask in told.items()} == {name: name for name in told}
    for unreadable in ("hello", valid.qr[:-1] + "A", "BX1.AAAA"):
        with pytest.raises(Unreadable):
            await gates.checkins.check_in(showing(unreadable, event.id))
    assert await gates.value("SELECT count(*) FROM checkins") == 0
    await gates.admitted(showing(valid.code, event.id))


async def test_a_blocked_ticket_is_refused_until_the_block_comes_off(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    await gates.fetch("UPDATE orders SET blocked_at = app_now()")
    ask = showing(ticket.code, event.id)
    assert (await gates.refused(ask)).outcome == "blocked"
    (result,) = await gates.checkins.sync([offline(ticket.code, event.id)])
    assert (result.outcome, result.kind) == ("conflict", "blocked")
    await gates.watch.run_once()
    assert await gates.value("SELECT count(*) FROM checkins") == 0
    assert await conflicts_at(gates, event.id) == [("blocked", "south", None)]
    await gates.fetch("UPDATE orders SET blocked_at = NULL")
    await gates.watch.run_once()
    assert await counting_gate(gates, ticket.code) == "south"
    assert await conflicts_at(gates, event.id) == []
    assert (await gates.refused(ask)).outcome == "already_admitted", "the same request, decided anew"


async def test_an_earlier_admission_that_was_synced_during_a_block_counts_after_it(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    now = datetime.now(UTC)
    await gates.admitted(showing(ticket.code, event.id, at=now))
    await gates.fetch("UPDATE orders SET blocked_at = app_now()")
    await gates.checkins.sync([offline(ticket.code, event.id, at=now - timedelta(minutes=1))])
    assert await counting_gate(gates, ticket.code) == "north"
    await gates.fetch("UPDATE orders SET blocked_at = NULL")
    await gates.watch.run_once()
    assert await counting_gate(gates, ticket.code) == "south"
    assert await conflicts_at(gates, event.id) == [("admitted_twice", "north", "south")]


async def test_a_supervisor_takes_an_admission_back_and_it_stays_in_the_history(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    ask = showing(ticket.code, event.id)
    await gates.admitted(ask)
    done = await gates.checkins.undo(ask.admission_id, UNDO)
    assert done is not None
    assert (done.gate, done.who, done.why) == ("north", "sue", "wrong person")
    repeated = await gates.checkins.undo(ask.admission_id, NewUndo(gate="x", who="y", why="z"))
    assert repeated == done, "the first stands"
    assert await gates.checkins.undo(new_id(), UNDO) is None
    await gates.admitted(showing(ticket.code, event.id, gate="south"))
    async with gates.service.database.acquire() as connection:
        history = await gate_store.list_history(connection, event_id=event.id, code=ticket.code)
    told = {(one["what"], one["gate"], one["who"], one["why"]) for one in history}
    assert told == {
        ("admitted", "north", "ada", None),
        ("undone", "north", "sue", "wrong person"),
        ("admitted", "south", "ada", None),
    }


@pytest.mark.parametrize("table", ["admissions", "undos", "refusals"])
async def test_facts_of_the_gate_can_be_neither_changed_nor_deleted(gates: Gates, table: str) -> None:
    event, (ticket,) = await gates.sell()
    ask = showing(ticket.code, event.id)
    await gates.admitted(ask)
    await gates.refused(showing(ticket.code, event.id))
    await gates.checkins.undo(ask.admission_id, UNDO)
    for statement in (f"UPDATE {table} SET who = 'nobody'", f"DELETE FROM {table}"):
        with pytest.raises(asyncpg.RestrictViolationError, match="only ever added to"):
            await gates.fetch(statement)


async def test_the_tables_themselves_refuse_a_ticket_that_is_admitted_and_revoked(gates: Gates) -> None:
    event, (admitted, revoked) = await gates.sell((2,))
    ask = showing(admitted.code, event.id)
    await gates.admitted(ask)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="checkins_ticket_valid"):
        await gates.fetch("UPDATE tickets SET status = 'revoked', revoked_at = app_now() WHERE number = 1")
    await gates.fetch("UPDATE tickets SET status = 'revoked', revoked_at = app_now() WHERE number = 2")
    await gates.checkins.sync([offline(revoked.code, event.id)])
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="checkins_ticket_valid"):
        await gates.fetch(
            "INSERT INTO checkins (order_id, number, admission_id, gate, admitted_at) "
            "SELECT order_id, number, admission_id, gate, admitted_at FROM admissions WHERE number = 2"
        )


async def waits_for_a_lock(gates: Gates) -> None:
    await until(
        lambda: gates.value("SELECT count(*) FROM pg_locks WHERE NOT granted"),
        PATIENCE_SECONDS,
        "the second waits for the first",
    )


async def test_a_gate_that_comes_second_refuses_what_is_being_revoked(gates: Gates) -> None:
    """Stepped: revoking has written and not committed, the gate asks and waits, revoking commits."""
    event, (ticket,) = await gates.sell()
    order_id = await gates.value("SELECT order_id FROM orders")
    async with gates.service.database.acquire() as rival:
        revoking = rival.transaction()
        await revoking.start()
        await rival.execute("SELECT FROM orders WHERE order_id = $1 FOR UPDATE", order_id)
        await rival.execute("UPDATE tickets SET status = 'revoked', revoked_at = app_now()")
        asking = asyncio.create_task(gates.checkins.check_in(showing(ticket.code, event.id)))
        await waits_for_a_lock(gates)
        await revoking.commit()
        answer = await asyncio.wait_for(asking, PATIENCE_SECONDS)
    assert isinstance(answer, Refusal)
    assert answer.outcome == "revoked"
    assert await gates.value("SELECT count(*) FROM checkins") == 0


async def test_revoking_that_comes_second_is_refused_what_is_being_admitted(gates: Gates) -> None:
    """Stepped: the gate holds the ticket, revoking waits, the gate commits."""
    event, (ticket,) = await gates.sell()
    order_id = await gates.value("SELECT order_id FROM orders")
    async with gates.service.database.acquire() as gate:
        admission = gate.transaction()
        await admission.start()
        held = await gate_store.lock_tickets_by_code(gate, codes=[ticket.code])
        revoking = asyncio.create_task(gates.deliver(RevokeRequestedV1(order_id=order_id, numbers=(1,))))
        await waits_for_a_lock(gates)
        one = Admission(new_id(), event.id, ticket.code, held[ticket.code].key, "north", "ada", datetime.now(UTC))
        await gate_store.insert_admissions(gate, admissions=[one], is_offline=False)
        assert await gate_store.insert_checkin(gate, key=held[ticket.code].key, admission=one)
        await admission.commit()
        await asyncio.wait_for(revoking, PATIENCE_SECONDS)
    (answer,) = await gates.given_out(TicketsRevokedV1)
    assert [refused.why for refused in answer.refused] == ["the ticket was already admitted"]


async def test_gates_and_revoking_let_loose_at_once_agree_on_every_ticket(make_database: MakeDatabase) -> None:
    async with Gates(gate_settings(make_database("ticketing"), database_connections=24)) as gates:
        event, tickets = await gates.sell((20,))
        order_id = await gates.value("SELECT order_id FROM orders")
        revoke = RevokeRequestedV1(order_id=order_id, numbers=tuple(range(1, 21)))
        *admitted, outcome = await asyncio.gather(
            *(gates.checkins.check_in(showing(ticket.code, event.id)) for ticket in tickets[:10]),
            gates.outcomes(delivery_of(revoke)),
            *(gates.checkins.check_in(showing(ticket.code, event.id)) for ticket in tickets[10:]),
        )
        answers = [one for one in (*admitted, outcome) if isinstance(one, (Admission, Refusal))]
        assert [Done()] in (*admitted, outcome)
        (revoked,) = await gates.given_out(TicketsRevokedV1)
        let_in = {int(one.code.split("-")[1]) for one in answers if isinstance(one, Admission)}
        assert {refused.number for refused in revoked.refused} == let_in
        assert set(revoked.numbers) == set(range(1, 21)) - let_in
        assert {one.outcome for one in answers if isinstance(one, Refusal)} <= {"revoked"}
        both = "SELECT count(*) FROM checkins JOIN tickets USING (order_id, number) WHERE status = 'revoked'"
        assert await gates.value(both) == 0


async def test_a_ticket_that_was_let_in_is_not_issued_again_until_that_is_taken_back(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    ask = showing(ticket.code, event.id)
    await gates.admitted(ask)
    assert isinstance(await gates.reissue(ticket), Refused)
    await gates.checkins.undo(ask.admission_id, UNDO)
    new = await gates.reissue(ticket)
    assert isinstance(new, IssuedTicket)
    assert (await gates.refused(showing(ticket.code, event.id))).outcome == "revoked"
    await gates.admitted(showing(new.code, event.id))


async def test_gates_and_issuing_again_let_loose_at_once_let_one_holder_in(make_database: MakeDatabase) -> None:
    async with Gates(gate_settings(make_database("ticketing"), database_connections=24)) as gates:
        event, tickets = await gates.sell((10,))
        answers = await asyncio.gather(
            *(gates.checkins.check_in(showing(ticket.code, event.id)) for ticket in tickets[:5]),
            *(gates.reissue(ticket) for ticket in tickets),
            *(gates.checkins.check_in(showing(ticket.code, event.id)) for ticket in tickets[5:]),
        )
        reissued = [one for one in answers if isinstance(one, IssuedTicket)]
        let_in = [one for one in answers if isinstance(one, Admission)]
        assert len(reissued) + len(let_in) == 10, "each ticket has one holder"
        for new in reissued:
            await gates.admitted(showing(new.code, event.id))
        assert await gates.value("SELECT count(*) FROM checkins") == 10


async def test_a_device_that_syncs_an_earlier_admission_turns_the_later_one_into_the_conflict(gates: Gates) -> None:
    event, (ticket,) = await gates.sell()
    now = datetime.now(UTC)
    ask = showing(ticket.code, event.id, at=now)
    await gates.admitted(ask)
    earlier = offline(ticket.code, event.id, at=now - timedelta(minutes=2))
    later = offline(ticket.code, event.id, gate="west", at=now + timedelta(minutes=2))
    assert [one.outcome for one in await gates.checkins.sync([later, earlier])] == ["conflict", "counts"]
    assert await conflicts_at(gates, event.id) == [
        ("admitted_twice", "north", "south"),
        ("admitted_twice", "west", "south"),
    ]
    assert [one.outcome for one in await gates.checkins.sync([earlier, later, later])] == ["counts"] + ["conflict"] * 2
    await gates.checkins.undo(earlier.admission_id, UNDO)
    assert await conflicts_at(gates, event.id) == [("admitted_twice", "west", "north")]
    assert [one.outcome for one in await gates.checkins.sync([earlier])] == ["undone"]


async def test_what_ought_not_to_have_been_let_in_is_reported_by_kind(gates: Gates) -> None:
    event, (ticket, revoked) = await gates.sell((2,))
    other, (elsewhere,) = await gates.sell(serial=1)
    order_id = await gates.value("SELECT order_id FROM tickets WHERE code = $1", revoked.code)
    await gates.deliver(RevokeRequestedV1(order_id=order_id, numbers=(2,)))
    key = derive_event_key(MASTER, event.id)
    forged = str(make_code(key, event.id, ticket.code[:6], 3, digits=8))
    sent = [
        offline(one, event.id, gate=gate)
        for one, gate in ((ticket.code, "a"), (revoked.code, "b"), (forged, "c"), (elsewhere.code, "d"), ("junk", "e"))
    ]
    results = await gates.checkins.sync(sent)
    kinds = [None, "revoked", "unknown_ticket", "other_event", "unknown_ticket"]
    assert [one.kind for one in results] == kinds
    assert {kind for kind, _, _ in await conflicts_at(gates, event.id)} == set(kinds) - {None}
    await gates.watch.run_once()
    shown = gates.metrics.render().decode()
    assert 'ticketing_gate_conflicts{kind="unknown_ticket"} 2.0' in shown
    assert 'ticketing_gate_conflicts{kind="revoked"} 1.0' in shown
    await gates.admitted(showing(elsewhere.code, other.id))


async def test_a_lost_answer_does_not_matter_whichever_way_it_comes_in_the_end(gates: Gates) -> None:
    """Asked with internet, not answered, let in by the device itself, and synced: in any order one admission."""
    for serial, steps in enumerate((("ask", "sync", "ask"), ("sync", "ask", "sync"), ("ask", "ask", "sync"))):
        event, (ticket,) = await gates.sell(serial=serial)
        at, admission_id = datetime.now(UTC), new_id()
        ask = showing(ticket.code, event.id, at=at, admission_id=admission_id)
        note = offline(ticket.code, event.id, gate="north", at=at, admission_id=admission_id)
        for step in steps:
            if step == "ask":
                assert not (await gates.admitted(ask)).is_undone
            else:
                assert await gates.checkins.sync([note]) == [
                    SyncResult(admission_id, "counts", counting=await counted(gates, admission_id))
                ]
        assert await conflicts_at(gates, event.id) == []
        assert await counting_gate(gates, ticket.code) == "north"


async def counted(gates: Gates, admission_id: UUID) -> Admission:
    async with gates.service.database.acquire() as connection:
        return (await gate_store.list_admissions(connection, admission_ids=[admission_id]))[admission_id]
