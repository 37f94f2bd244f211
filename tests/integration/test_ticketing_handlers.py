"""Ticketing's handlers on real PostgreSQL: once per paid order, in any order of arrival, for whole batches."""

from collections.abc import AsyncIterator
from itertools import permutations
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from services.ticketing import store
from services.ticketing.codes import Code, derive_event_key, read_code, verify_code
from services.ticketing.keys import parse_hex_keys, public_keys
from services.ticketing.qr import verify_qr
from services.ticketing.service import build
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from shared.messaging.delivery import TRIES_HEADER
from shared.messaging.handling import Done
from shared.messaging.verdicts import MAX_TRIES, DeadLetter
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, delivery_of
from tests.ticket_samples import ADMIT, MASTER_KEYS, SIGNING_KEYS, order_paid, sold_event, ticketing_settings

PUBLIC_KEYS = public_keys(parse_hex_keys(SIGNING_KEYS))
MASTER_KEY = parse_hex_keys(MASTER_KEYS)["m1"]


@pytest.fixture
async def bench(make_database: MakeDatabase) -> AsyncIterator[Bench]:
    async with Bench(build(ticketing_settings(make_database("ticketing")))) as opened:
        yield opened


async def admit(bench: Bench, order_id: UUID, number: int) -> None:
    await bench.fetch(ADMIT, order_id, number)


async def state_of(bench: Bench, order_id: UUID) -> list[object]:
    """Everything kept of an order but times."""
    tickets = await bench.fetch(
        "SELECT number, code, status FROM tickets WHERE order_id = $1 ORDER BY number", order_id
    )
    asked = await bench.fetch("SELECT number, outcome FROM revocations WHERE order_id = $1 ORDER BY number", order_id)
    return [[tuple(row) for row in tickets], [tuple(row) for row in asked]]


async def test_a_paid_order_gets_a_ticket_for_each_place(bench: Bench) -> None:
    order = order_paid((2, 1))
    await bench.deliver(order)
    (issued,) = await bench.given_out(TicketsIssuedV1)
    assert [ticket.number for ticket in issued.tickets] == [1, 2, 3]
    assert [ticket.tier_id for ticket in issued.tickets] == [order.lines[0].tier_id] * 2 + [order.lines[1].tier_id]
    assert (issued.email, issued.reference, issued.charge_id) == (order.email, order.reference, order.charge_id)
    event_key = derive_event_key(MASTER_KEY, order.event.id)
    for ticket in issued.tickets:
        code = read_code(ticket.code)
        assert isinstance(code, Code)
        assert ticket.code == f"{order.reference}-{ticket.number:03d}-{code.signature}"
        assert verify_code(code, [event_key], order.event.id)
        said = verify_qr(ticket.qr, PUBLIC_KEYS)
        assert said is not None
        assert (said.code, said.tier_id, said.event_id) == (code, ticket.tier_id, order.event.id)
        assert said.valid_until > order.event.ends_at


async def test_a_repeated_message_repeats_the_same_tickets(bench: Bench) -> None:
    order = order_paid()
    await bench.deliver(order)
    (first,) = await bench.given_out(TicketsIssuedV1)
    await bench.deliver(order, order.model_copy(update={"email": "other@example.com"}))
    assert await bench.given_out(TicketsIssuedV1) == [first, first]
    assert await bench.value("SELECT count(*) FROM tickets") == 3


async def test_a_batch_of_500_orders_is_issued_at_once_and_a_duplicate_adds_nothing(bench: Bench) -> None:
    event = sold_event()
    orders = [order_paid((1, 1), serial=serial, event=event) for serial in range(500)]
    await bench.deliver_batch(*orders)
    issued = await bench.given_out(TicketsIssuedV1)
    assert {one.order_id for one in issued} == {order.order_id for order in orders}
    await bench.deliver_batch(*orders[:250], *orders[:250])
    assert await bench.value("SELECT count(*) FROM tickets") == 1000
    again = await bench.given_out(TicketsIssuedV1)
    assert {one.order_id: one for one in again}.items() <= {one.order_id: one for one in issued}.items()


async def test_every_order_of_arrival_with_a_duplicate_ends_in_one_state(bench: Bench, note: Note) -> None:
    event = sold_event()
    sequences = sorted({names for double in "PR" for names in permutations("PR" + double)})
    ends = []
    for names in sequences:
        # The reference is the same each time, so each sequence has an event of its own.
        order = order_paid((2, 1), event=event.model_copy(update={"id": new_id()}))
        revoke = RevokeRequestedV1(order_id=order.order_id, numbers=(2, 9))
        await bench.given_out()
        await bench.deliver(*({"P": order, "R": revoke}[name] for name in names))
        tickets, asked = await state_of(bench, order.order_id)
        ends.append(([(number, status) for number, _, status in tickets], asked))  # type: ignore[attr-defined]
        answers = await bench.given_out(TicketsRevokedV1)
        assert answers, names
        assert {answer.numbers for answer in answers} == {(2,)}, names
        assert {answer.refused[0].number for answer in answers} == {9}, names
    note(f"ticketing, revoked: {len(sequences)} sequences")
    assert ends == [ends[0]] * len(sequences)
    assert ends[0] == ([(1, "valid"), (2, "revoked"), (3, "valid")], [(2, "revoked"), (9, "unknown_number")])


async def test_both_messages_in_one_transaction_end_in_the_same_state(bench: Bench) -> None:
    order = order_paid()
    revoke = RevokeRequestedV1(order_id=order.order_id, numbers=(1, 2, 3))
    assert await bench.outcomes(delivery_of(revoke), delivery_of(order)) == [Done(), Done()]
    tickets, asked = await state_of(bench, order.order_id)
    assert [status for _, _, status in tickets] == ["revoked"] * 3  # type: ignore[attr-defined]
    assert [outcome for _, outcome in asked] == ["revoked"] * 3  # type: ignore[attr-defined]


async def test_a_request_to_revoke_waits_for_its_order_without_an_answer(bench: Bench) -> None:
    order = order_paid((1,))
    await bench.deliver(RevokeRequestedV1(order_id=order.order_id, numbers=(1,)))
    assert await bench.given_out() == []
    await bench.deliver(order)
    issued, revoked = await bench.given_out(TicketsIssuedV1, TicketsRevokedV1)
    assert isinstance(issued, TicketsIssuedV1)
    assert issued.tickets == ()
    assert isinstance(revoked, TicketsRevokedV1)
    assert revoked.numbers == (1,)


async def test_a_revoked_ticket_is_not_given_out_again(bench: Bench) -> None:
    order = order_paid((3,))
    revoke = RevokeRequestedV1(order_id=order.order_id, numbers=(2,))
    await bench.deliver(order, revoke, revoke)
    first, second = await bench.given_out(TicketsRevokedV1)
    assert first == second == TicketsRevokedV1(order_id=order.order_id, numbers=(2,))
    await bench.deliver(order)
    (issued,) = await bench.given_out(TicketsIssuedV1)
    assert [ticket.number for ticket in issued.tickets] == [1, 3]


async def test_an_admitted_ticket_is_not_revoked_and_the_refusal_stands(bench: Bench) -> None:
    order = order_paid((2,))
    await bench.deliver(order)
    await admit(bench, order.order_id, 1)
    revoke = RevokeRequestedV1(order_id=order.order_id, numbers=(1, 2))
    await bench.deliver(revoke, revoke)
    first, second = await bench.given_out(TicketsRevokedV1)
    assert first == second
    assert first.numbers == (2,)
    assert [(refused.number, refused.why) for refused in first.refused] == [(1, "the ticket was already admitted")]
    assert await bench.value("SELECT status FROM tickets WHERE number = 1") == "valid"


async def test_a_code_that_exists_is_met_by_a_longer_one(bench: Bench) -> None:
    """Two orders with one reference at one event: the constraint holds, both get tickets, and both verify."""
    event = sold_event()
    first, second = order_paid((2,), event=event), order_paid((2,), event=event)
    await bench.deliver_batch(first, second)
    issued = await bench.given_out(TicketsIssuedV1)
    codes = [ticket.code for one in issued for ticket in one.tickets]
    assert len(set(codes)) == 4
    assert sorted(len(code) for code in codes) == [19, 19, 20, 20]
    event_key = derive_event_key(MASTER_KEY, event.id)
    assert all(verify_code(code, [event_key], event.id) for code in map(read_code, codes) if code is not None)
    assert all(verify_qr(ticket.qr, PUBLIC_KEYS) for one in issued for ticket in one.tickets)


async def test_the_table_refuses_a_second_ticket_with_one_code(bench: Bench) -> None:
    await bench.deliver(order_paid((2,)))
    with pytest.raises(asyncpg.UniqueViolationError, match="tickets_code_unique"):
        await bench.fetch("UPDATE tickets SET code = (SELECT code FROM tickets WHERE number = 1) WHERE number = 2")


async def test_a_new_key_signs_and_old_tickets_are_repeated_unchanged(make_database: MakeDatabase) -> None:
    url = make_database("ticketing")
    before, after = order_paid((1,)), order_paid((1,), serial=1)
    async with Bench(build(ticketing_settings(url))) as bench:
        await bench.deliver(before)
        (old,) = await bench.given_out(TicketsIssuedV1)
    both = "s2:" + "33" * 32 + "," + SIGNING_KEYS
    masters = "m2:" + "44" * 32 + "," + MASTER_KEYS
    rotated = ticketing_settings(url, signing_keys=SecretStr(both), master_keys=SecretStr(masters))
    async with Bench(build(rotated)) as bench:
        await bench.given_out()
        await bench.deliver(before, after)
        repeated, new = await bench.given_out(TicketsIssuedV1)
    assert repeated == old
    keys = public_keys(parse_hex_keys(both))
    said = [verify_qr(one.tickets[0].qr, keys) for one in (old, new)]
    assert [one.key_id for one in said if one is not None] == ["s1", "s2"]


async def test_an_order_too_large_for_one_message_is_given_up_by_name(bench: Bench) -> None:
    """Its tickets would not fit into one message: nothing of it is kept, and the next order is served."""
    large, small = order_paid((1000,) * 6), order_paid((1,), serial=1)
    (outcome,) = await bench.outcomes(delivery_of(large, headers={TRIES_HEADER: MAX_TRIES - 1}))
    assert isinstance(outcome, DeadLetter)
    assert "exceeds the 1048576 bytes of a message" in outcome.reason
    assert await bench.value("SELECT count(*) FROM tickets") == 0
    await bench.deliver(small)
    assert await bench.value("SELECT count(*) FROM tickets") == 1


async def test_a_blocked_order_keeps_its_tickets_and_shows_them_as_blocked(bench: Bench) -> None:
    order = order_paid((2,))
    await bench.deliver(order, RevokeRequestedV1(order_id=order.order_id, numbers=(2,)))
    await bench.fetch("UPDATE orders SET blocked_at = app_now() WHERE order_id = $1", order.order_id)
    async with bench.service.database.acquire() as connection:
        tickets = await store.list_tickets(connection, order_ids=[order.order_id])
    assert [(one.issued.number, one.status) for one in tickets] == [(1, "blocked"), (2, "revoked")]
    await bench.given_out()
    await bench.deliver(order)
    (issued,) = await bench.given_out(TicketsIssuedV1)
    assert [ticket.number for ticket in issued.tickets] == [1], "it is still its holder's"
