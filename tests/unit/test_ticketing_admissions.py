"""Which admission counts follows from the facts alone, not from the order in which they became known."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.admissions import (
    Admission,
    Conflict,
    GateTicket,
    decide_checkin,
    decide_conflict,
    decide_counting,
)
from services.ticketing.device import Outcome
from services.ticketing.domain import TicketKey
from tests.gate_support import EVENT_ID, NOW, TIER_ID

OTHER_EVENT = UUID(int=7)
ORDER = UUID(int=1)
TICKETS: list[TicketKey] = [(ORDER, 1), (ORDER, 2), (ORDER, 3)]
EVENTS = dict.fromkeys(TICKETS, EVENT_ID)


def admission(
    serial: int, *, ticket: TicketKey | None = TICKETS[0], gate: str = "north", seconds: int = 0
) -> Admission:
    return Admission(UUID(int=serial), EVENT_ID, "code", ticket, gate, "ada", NOW + timedelta(seconds=seconds))


@st.composite
def all_facts(draw: st.DrawFn) -> list[Admission]:
    """Admissions of three tickets with few times and gates, so that many are alike; some undone, some of nothing."""
    return [
        replace(
            admission(
                serial,
                ticket=draw(st.sampled_from([*TICKETS, None])),
                gate=draw(st.sampled_from(["north", "south", "öst", "west"])),
                seconds=draw(st.integers(0, 2)),
            ),
            is_undone=draw(st.booleans()),
            event_id=draw(st.sampled_from([EVENT_ID, EVENT_ID, OTHER_EVENT])),
        )
        for serial in range(draw(st.integers(1, 9)))
    ]


def after_each(batches: Sequence[Sequence[Admission]], refused: set[TicketKey]) -> dict[TicketKey, Admission]:
    """What the table says after these batches, each settled from all that is known by then: as the service does it."""
    known: list[Admission] = []
    counting: dict[TicketKey, Admission] = {}
    for batch in batches:
        known += batch
        touched = {one.ticket for one in batch}
        seen = [one for one in known if one.ticket in touched]
        counting |= decide_counting(seen, events=EVENTS, refused=refused)
    return counting


def conflicts_of(facts: Sequence[Admission], counting: dict[TicketKey, Admission]) -> set[Conflict]:
    conflicts = {
        decide_conflict(
            one,
            ticket_event=EVENTS.get(one.ticket) if one.ticket else None,
            revoked_at=None,
            counting=counting.get(one.ticket) if one.ticket else None,
        )
        for one in facts
    }
    return {one for one in conflicts if one is not None}


@given(all_facts(), st.sets(st.sampled_from(TICKETS), max_size=1), st.data())
@settings(deadline=None, max_examples=100)
def test_every_order_and_every_cut_into_batches_ends_the_same(
    facts: list[Admission], refused: set[TicketKey], data: st.DataObject
) -> None:
    whole = decide_counting(facts, events=EVENTS, refused=refused)
    shuffled = data.draw(st.permutations(facts))
    # A device repeats what it was not told had arrived.
    repeated = shuffled + shuffled[: data.draw(st.integers(0, len(facts)))]
    size = data.draw(st.integers(1, len(facts)))
    batches = [repeated[start : start + size] for start in range(0, len(repeated), size)]
    assert after_each(batches, refused) == whole
    assert conflicts_of(shuffled, whole) == conflicts_of(facts, whole)


@given(all_facts())
@settings(deadline=None)
def test_each_admission_counts_or_was_undone_or_is_a_conflict(facts: list[Admission]) -> None:
    counting = decide_counting(facts, events=EVENTS, refused=())
    counts = {one.admission_id for one in counting.values()}
    undone = {one.admission_id for one in facts if one.is_undone}
    in_conflict = {one.admission.admission_id for one in conflicts_of(facts, counting)}
    assert counts | undone | in_conflict == {one.admission_id for one in facts}
    assert len(counts) + len(undone) + len(in_conflict) == len(facts)
    for conflict in conflicts_of(facts, counting):
        if conflict.kind == "admitted_twice":
            assert conflict.counting is not None
            assert conflict.counting.rank < conflict.admission.rank


def test_the_earliest_counts_and_ties_are_decided_by_gate_and_then_by_id() -> None:
    first = admission(9, gate="south", seconds=0)
    for later in (admission(1, seconds=1), admission(1, gate="tower"), admission(10, gate="south")):
        for order in permutations([first, later]):
            assert decide_counting(order, events=EVENTS, refused=()) == {TICKETS[0]: first}


def test_when_the_one_that_counts_is_undone_the_next_counts() -> None:
    first, second = admission(1), admission(2, seconds=5)
    undone = replace(first, is_undone=True)
    assert decide_counting([undone, second], events=EVENTS, refused=()) == {TICKETS[0]: second}
    assert decide_counting([undone], events=EVENTS, refused=()) == {}


@pytest.mark.parametrize(
    ("changes", "is_admitted", "later", "outcome"),
    [
        ({}, False, 0, "valid"),
        ({"event_id": OTHER_EVENT}, False, 0, "other_event"),
        ({"revoked_at": NOW}, False, 0, "revoked"),
        ({"is_blocked": True}, False, 0, "blocked"),
        ({"key_accepted": False}, False, 0, "key_compromised"),
        ({}, True, 0, "already_admitted"),
        ({}, False, -7201, "not_valid_yet"),
        ({}, False, -7200, "valid"),
        ({}, False, 7200, "valid"),
        ({}, False, 7201, "not_valid_any_more"),
        ({"revoked_at": NOW}, True, 7201, "revoked"),
    ],
)
def test_a_gate_says_what_is_wrong_with_a_ticket(
    changes: dict[str, object], is_admitted: bool, later: int, outcome: Outcome
) -> None:
    hours = timedelta(hours=2)
    ticket = GateTicket(
        key=TICKETS[0],
        event_id=EVENT_ID,
        code="code",
        tier_id=TIER_ID,
        tier_name="Gold",
        revoked_at=None,
        is_blocked=False,
        key_accepted=True,
        opens_at=NOW - hours,
        closes_at=NOW + hours,
    )
    ticket = replace(ticket, **changes)  # type: ignore[arg-type]
    now = NOW + timedelta(seconds=later)
    assert decide_checkin(ticket, event_id=EVENT_ID, now=now, is_admitted=is_admitted) == outcome


def test_a_code_that_nobody_issued_is_unknown() -> None:
    assert decide_checkin(None, event_id=EVENT_ID, now=NOW, is_admitted=False) == "unknown_ticket"
