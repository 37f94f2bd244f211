"""A ticket for another holder: the old number is revoked and a new one issued, once, whatever comes with it."""

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations

import asyncpg
import pytest
from pydantic import SecretStr

from services.ticketing.codes import derive_event_key, read_code, verify_code
from services.ticketing.domain_reissue import Refused, ReissueRequest
from services.ticketing.keys import parse_hex_keys, public_keys
from services.ticketing.qr import verify_qr
from services.ticketing.reissuing import TIMES_TOLD, Done, Reissuing
from services.ticketing.service import build
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from shared.contracts.base import Message
from shared.contracts.orders import OrderPaidV1, RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench
from tests.ticket_samples import ADMIT, MASTER_KEYS, SIGNING_KEYS, order_paid, sold_event, ticketing_settings
from tests.waiting import until

PUBLIC_KEYS = public_keys(parse_hex_keys(SIGNING_KEYS))
MASTER_KEY = parse_hex_keys(MASTER_KEYS)["m1"]
KEY = "the-key-of-a-request"


class ReissueBench(Bench):
    """A bench that issues tickets again, too. Nothing is told again but when the test says so."""

    def __init__(self, settings: TicketingSettings) -> None:
        super().__init__(build(settings))
        signer = Signer(settings)
        self.reissuing = Reissuing(self.service.transactions, signer, pause_seconds=0, most_pause_seconds=0)

    async def reissue(
        self, order: OrderPaidV1, number: int, *, key: str = KEY, email: str = "bola@example.com"
    ) -> Done | Refused:
        request = ReissueRequest(number=number, key=key, email=email, why="sold on", asked_by="organiser")
        return await self.reissuing.reissue(order.order_id, request)

    async def statuses(self, order: OrderPaidV1) -> list[tuple[int, int, str]]:
        """Number, place and status of each ticket."""
        rows = await self.fetch(
            "SELECT number, place, status FROM tickets WHERE order_id = $1 ORDER BY number", order.order_id
        )
        return [(row["number"], row["place"], row["status"]) for row in rows]


@pytest.fixture
async def bench(make_database: MakeDatabase) -> AsyncIterator[ReissueBench]:
    async with ReissueBench(ticketing_settings(make_database("ticketing"))) as opened:
        yield opened


def new_number(done: Done | Refused) -> int:
    assert isinstance(done, Done), done
    return done.ticket.issued.number


async def test_the_old_number_is_revoked_and_a_new_one_is_issued(bench: ReissueBench) -> None:
    order = order_paid((1, 1))
    await bench.deliver(order)
    (first,) = await bench.given_out(TicketsIssuedV1)
    done = await bench.reissue(order, 1)
    assert isinstance(done, Done)
    assert done.is_new
    assert await bench.statuses(order) == [(1, 1, "revoked"), (2, 2, "valid"), (3, 1, "valid")]
    (told,) = await bench.given_out(TicketsIssuedV1)
    assert told == first.model_copy(update={"tickets": told.tickets})
    kept, new = told.tickets
    assert kept == first.tickets[1]
    assert (new.number, new.place, new.email, new.tier_id) == (3, 1, "bola@example.com", first.tickets[0].tier_id)
    code = read_code(new.code)
    assert code is not None
    assert (code.reference, code.number) == (order.reference, 3)
    assert verify_code(code, [derive_event_key(MASTER_KEY, order.event.id)], order.event.id)
    said = verify_qr(new.qr, PUBLIC_KEYS)
    assert said is not None
    assert said.code == code


async def test_a_repeat_gives_the_same_ticket_and_another_request_does_not(bench: ReissueBench) -> None:
    order = order_paid((2,))
    await bench.deliver(order)
    first = await bench.reissue(order, 2)
    again = await bench.reissue(order, 2)
    assert isinstance(again, Done)
    assert not again.is_new
    assert again.ticket == first.ticket if isinstance(first, Done) else False
    assert await bench.reissue(order, 2, email="chi@example.com") == Refused("key_reused", 3)
    assert await bench.reissue(order, 2, key="another-key-of-one") == Refused("already_reissued", 3)
    assert len(await bench.statuses(order)) == 3
    assert len(await bench.given_out(TicketsIssuedV1)) == 2


async def test_a_ticket_goes_from_hand_to_hand_and_back_to_the_buyer(bench: ReissueBench) -> None:
    order = order_paid((1,))
    await bench.deliver(order)
    holders = ["bola@example.com", "chi@example.com", "ADA@example.com"]
    for number, holder in enumerate(holders, start=1):
        assert new_number(await bench.reissue(order, number, email=holder)) == number + 1
    assert await bench.statuses(order) == [(1, 1, "revoked"), (2, 1, "revoked"), (3, 1, "revoked"), (4, 1, "valid")]
    told = [one.tickets[0].email for one in await bench.given_out(TicketsIssuedV1)]
    assert told == [None, "bola@example.com", "chi@example.com", None]


@pytest.mark.parametrize("why", ["already_admitted", "revoked", "blocked", "not_found"])
async def test_what_is_let_in_revoked_blocked_or_unknown_is_not_issued_again(bench: ReissueBench, why: str) -> None:
    order = order_paid((1,))
    await bench.deliver(order)
    if why == "already_admitted":
        await bench.fetch(ADMIT, order.order_id, 1)
    elif why == "revoked":
        await bench.deliver(RevokeRequestedV1(order_id=order.order_id, numbers=(1,)))
    elif why == "blocked":
        await bench.fetch("UPDATE orders SET blocked_at = app_now()")
    else:
        assert await bench.reissue(order_paid((1,)), 1) == Refused("not_found")
    before = await bench.statuses(order)
    assert await bench.reissue(order, 2 if why == "not_found" else 1) == Refused(why)  # type: ignore[arg-type]
    assert await bench.statuses(order) == before


async def test_a_refund_revokes_the_new_number_whatever_came_first(bench: ReissueBench) -> None:
    """P3: paid, asked to revoke and issued again, in every order; a place is revoked by whichever number it had."""

    async def run(serial: int, steps: tuple[str, ...]) -> None:
        order = order_paid((2,), serial=serial)
        messages: dict[str, Message] = {
            "paid": order,
            "revoke": RevokeRequestedV1(order_id=order.order_id, numbers=(1, 2)),
            "revoke again": RevokeRequestedV1(order_id=order.order_id, numbers=(1, 2)),
        }
        answers: list[Done | Refused] = []
        for step in steps:
            if step == "reissue":
                answers.append(await bench.reissue(order, 1, email="bola@example.com"))
            else:
                await bench.deliver(messages[step])
        await bench.deliver(order)
        (answer,) = answers
        statuses = await bench.statuses(order)
        assert [status for *_, status in statuses] == ["revoked"] * (3 if isinstance(answer, Done) else 2), steps
        assert isinstance(answer, Done) == (steps.index("paid") < steps.index("reissue") < steps.index("revoke")), steps
        said = [one for one in await bench.given_out(TicketsRevokedV1) if one.order_id == order.order_id]
        assert {one.numbers for one in said} == {(1, 2)}, steps

    sequences = [steps for steps in permutations(["paid", "reissue", "revoke", "revoke again"])
                 if steps.index("revoke") < steps.index("revoke again")]  # fmt: skip
    for serial, steps in enumerate(sequences):
        await run(serial, steps)


async def test_the_new_number_names_its_place_too(bench: ReissueBench) -> None:
    order = order_paid((2,))
    await bench.deliver(order)
    await bench.reissue(order, 1)
    await bench.given_out()
    await bench.deliver(RevokeRequestedV1(order_id=order.order_id, numbers=(3,)))
    (answer,) = await bench.given_out(TicketsRevokedV1)
    assert answer.numbers == (3,)
    assert await bench.statuses(order) == [(1, 1, "revoked"), (2, 2, "valid"), (3, 1, "revoked")]


async def test_many_requests_at_once_through_two_replicas_issue_one_ticket(make_database: MakeDatabase) -> None:
    url = make_database("ticketing")
    settings = ticketing_settings(url, database_connections=10)
    order = order_paid((2,))
    async with ReissueBench(settings) as one, ReissueBench(settings) as other:
        await one.deliver(order)
        rivals = await asyncio.gather(
            *((one, other)[serial % 2].reissue(order, 1, key=f"rival-{serial:012}") for serial in range(10)),
            *((one, other)[serial % 2].reissue(order, 2) for serial in range(10)),
        )
        assert sorted(await one.statuses(order))[:2] == [(1, 1, "revoked"), (2, 2, "revoked")]
        assert [status for *_, status in await one.statuses(order)].count("valid") == 2
        (won,) = [answer for answer in rivals[:10] if isinstance(answer, Done)]
        refused = [answer for answer in rivals[:10] if isinstance(answer, Refused)]
        assert refused == [Refused("already_reissued", won.ticket.issued.number)] * 9
        assert len({new_number(answer) for answer in rivals[10:]}) == 1
        assert sum(answer.is_new for answer in rivals[10:] if isinstance(answer, Done)) == 1


async def test_a_gate_that_admits_while_a_ticket_is_being_issued_again_wins(bench: ReissueBench) -> None:
    order = order_paid((1,))
    await bench.deliver(order)
    async with bench.service.database.acquire() as gate:
        admission = gate.transaction()
        await admission.start()
        await gate.execute("SELECT FROM tickets WHERE order_id = $1 FOR UPDATE", order.order_id)
        await gate.execute(ADMIT, order.order_id, 1)
        reissuing = asyncio.create_task(bench.reissue(order, 1))
        await until(
            lambda: bench.value("SELECT count(*) FROM pg_locks WHERE NOT granted"),
            PATIENCE_SECONDS,
            "issuing again waits for the gate",
        )
        await admission.commit()
        assert await asyncio.wait_for(reissuing, PATIENCE_SECONDS) == Refused("already_admitted")
    assert await bench.statuses(order) == [(1, 1, "valid")]


async def test_the_table_refuses_a_second_valid_ticket_of_one_place(bench: ReissueBench) -> None:
    order = order_paid((1,))
    await bench.deliver(order)
    await bench.reissue(order, 1)
    with pytest.raises(asyncpg.UniqueViolationError, match="tickets_one_valid_a_place"):
        await bench.fetch("UPDATE tickets SET status = 'valid', revoked_at = NULL WHERE number = 1")


async def test_a_code_that_exists_is_met_by_a_longer_one(bench: ReissueBench) -> None:
    """Another order has this reference at this event, and a third ticket."""
    event = sold_event()
    other, order = order_paid((3,), event=event), order_paid((2,), event=event)
    await bench.deliver(other, order)
    taken = await bench.value("SELECT code FROM tickets WHERE order_id = $1 AND number = 3", other.order_id)
    done = await bench.reissue(order, 2)
    assert isinstance(done, Done)
    assert (done.ticket.issued.number, len(done.ticket.issued.code)) == (3, len(taken) + 1)
    code = read_code(done.ticket.issued.code)
    assert code is not None
    assert verify_code(code, [derive_event_key(MASTER_KEY, event.id)], event.id)


async def test_what_was_issued_again_is_told_some_more_times_and_then_no_more(bench: ReissueBench) -> None:
    """Nobody waits for it and would ask: a lost message must not leave the old ticket on the buyer's page for ever."""
    order = order_paid((2,))
    await bench.deliver(order)
    await bench.reissue(order, 1)
    _, told = await bench.given_out(TicketsIssuedV1)
    for _ in range(TIMES_TOLD + 2):
        await bench.reissuing.say_again()
    assert await bench.given_out(TicketsIssuedV1) == [told] * TIMES_TOLD
    assert await bench.reissuing.say_again() is None


async def test_a_ticket_that_was_issued_before_a_key_was_stolen_is_issued_again_under_the_next(
    make_database: MakeDatabase,
) -> None:
    url = make_database("ticketing")
    order = order_paid((1,))
    async with ReissueBench(ticketing_settings(url)) as before:
        await before.deliver(order)
    stolen = ticketing_settings(
        url,
        master_keys=SecretStr(f"m2:{'44' * 32},{MASTER_KEYS}"),
        signing_keys=SecretStr(f"s2:{'33' * 32},{SIGNING_KEYS}"),
        compromised_master_keys="m1:2020-01-01T00:00:00Z",
        compromised_signing_keys="s1:2020-01-01T00:00:00Z",
    )
    async with ReissueBench(stolen) as after:
        done = await after.reissue(order, 1, email=order.email)
        assert isinstance(done, Done)
        assert (done.ticket.code_key_id, done.ticket.qr_key_id) == ("m2", "s2")
        signer = Signer(stolen)
        assert (signer.code_status(done.ticket), signer.qr_status(done.ticket)) == ("good", "good")
        assert await after.value("SELECT count(*) FROM tickets WHERE status = 'valid' AND code_key_id = 'm1'") == 0
        assert (await after.reissue(order_paid((1,), order_id=new_id()), 1)) == Refused("not_found")
