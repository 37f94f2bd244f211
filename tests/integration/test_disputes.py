"""Disputes from Paystack's word to the gate: kept once in any order, told until answered, covered in the ledger."""

from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.orders.service import build
from services.ticketing.service import build as build_ticketing
from shared.contracts.base import Message
from shared.contracts.orders import (
    BlockRequestedV1,
    DisputeNotedV1,
    OrderRefundedV1,
    RefundRequestedV1,
    RevokeRequestedV1,
)
from shared.contracts.payments import DisputeChangedV1, PaymentConfirmedV1
from shared.contracts.ticketing import TicketsBlockedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench
from tests.integration.payments_support import Till, till
from tests.integration.test_orders import settings, status
from tests.integration.test_orders_refunds import bought, give_back, revoked
from tests.integration.test_payments_money import charged
from tests.samples import charge_of, issued, paid
from tests.ticket_samples import ticketing_settings
from tests.waiting import until

DISPUTE = "90127744"


async def ticketed(one: Till) -> PaymentConfirmedV1:
    """A charge that is covered by tickets."""
    charge = await charged(one)
    await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
    await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
    assert await one.cases() == []
    return charge


async def dispute(one: Till, charge: PaymentConfirmedV1, **more: Any) -> str:
    opened = await one.paystack.call("POST", "/sandbox/disputes", {"reference": charge.reference, **more})
    return str(opened["id"])


async def resolve(one: Till, dispute_id: str, resolution: str, amount: int) -> None:
    answer = {"resolution": resolution, "message": "x", "refund_amount": amount, "uploaded_filename": "proof.pdf"}
    await one.paystack.call("PUT", f"/dispute/{dispute_id}/resolve", answer)


async def stands(one: Till, dispute_status: str) -> None:
    """Wait until the dispute stands like that, and orders was told."""
    found = "SELECT count(*) = 1 FROM disputes WHERE status = $1"
    await until(lambda: one.bench.value(found, dispute_status), PATIENCE_SECONDS, f"the dispute is {dispute_status}")

    async def is_told() -> bool:
        return any(event.status == dispute_status for event in await one.wait_for(DisputeChangedV1))

    await until(is_told, PATIENCE_SECONDS, "orders is told")


async def ledger_holds(one: Till) -> bool:
    document = await one.operator("/v1/admin/ledger")
    return bool(document["holds"]) if "holds" in document else all(check["holds"] for check in document["checks"])


async def test_a_dispute_is_a_case_until_it_is_won_and_orders_is_told_until_it_answers(
    make_database: MakeDatabase,
) -> None:
    async with till(make_database("payments")) as one:
        charge = await ticketed(one)
        dispute_id = await dispute(one, charge, webhooks=3)
        await stands(one, "open")
        assert await one.cases() == [("dispute", charge.charge_id)]
        await one.paystack.call("POST", f"/sandbox/disputes/{dispute_id}/remind", {})
        shown = await one.operator(f"/v1/admin/payments/{charge.order_id}")
        assert shown["disputes"][0]["due_at"] is not None
        noted = {"order_id": charge.order_id, "dispute_id": dispute_id}
        await one.bench.deliver(DisputeNotedV1.model_validate(noted | {"status": "open", "tickets": "valid"}))
        assert await one.bench.value("SELECT ask_at IS NULL FROM disputes")
        await resolve(one, dispute_id, "declined", 0)
        await stands(one, "won")
        assert await one.cases() == []
        assert await ledger_holds(one)


async def test_a_lost_dispute_is_out_of_the_books_and_a_case_until_its_tickets_are_gone(
    make_database: MakeDatabase,
) -> None:
    async with till(make_database("payments")) as one:
        charge = await ticketed(one)
        dispute_id = await dispute(one, charge)
        await stands(one, "open")
        await resolve(one, dispute_id, "merchant-accepted", charge.amount_kobo)
        await stands(one, "lost")
        assert await one.cases() == [("dispute_lost", charge.charge_id)]
        balance = await one.bench.fetch("SELECT tickets_kobo, refunded_kobo, open_kobo FROM charge_balances")
        assert tuple(balance[0]) == (0, charge.amount_kobo, 0)
        assert await ledger_holds(one)
        answer = {"order_id": charge.order_id, "dispute_id": dispute_id, "status": "lost", "tickets": "revoked"}
        await one.bench.deliver(DisputeNotedV1.model_validate(answer))
        assert await one.cases() == []


async def test_a_dispute_whose_webhooks_were_lost_is_found_in_paystacks_list(make_database: MakeDatabase) -> None:
    async with till(make_database("payments")) as one:
        charge = await ticketed(one)
        await dispute(one, charge, webhooks=0)
        assert await one.cases() == []
        for _ in range(3):
            await one.service.dispute_sweep.run_once()
        assert await one.cases() == [("dispute", charge.charge_id)]
        assert await one.bench.value("SELECT count(*) FROM disputes") == 1


async def test_every_order_of_arrival_of_a_disputes_webhooks_ends_resolved(make_database: MakeDatabase) -> None:
    async with till(make_database("payments")) as one:
        charge = await ticketed(one)
        dispute_id = await dispute(one, charge, webhooks=0)
        opened = (await one.paystack.call("GET", f"/dispute/{dispute_id}"))["data"]
        resolved = {**opened, "status": "resolved", "resolution": "declined", "resolvedAt": opened["createdAt"]}
        said = {"c": ("create", opened), "r": ("remind", opened), "R": ("resolve", resolved)}
        for number, sequence in enumerate(permutations("crR"), start=5001):
            for name in (*sequence, sequence[0]):
                event, data = said[name]
                await one.webhook(f"charge.dispute.{event}", {**data, "id": number})
            assert await one.bench.value("SELECT status FROM disputes WHERE dispute_id = $1", str(number)) == "won"
        stranger = {**opened, "id": 7, "transaction": {**opened["transaction"], "reference": "shop-7"}}
        await one.webhook("charge.dispute.create", stranger)
        await one.webhook("charge.dispute.create", {"id": "none"})
        assert await one.cases() == []


@pytest.fixture
async def bench(make_database: MakeDatabase) -> AsyncIterator[Bench]:
    async with Bench(build(settings(make_database("orders"), on_dispute="block"))) as one:
        yield one


def told(order_id: UUID, how: str, amount_kobo: int = 1_000_000, **more: Any) -> DisputeChangedV1:
    fields: dict[str, Any] = {"charge_id": charge_of(order_id), "dispute_id": DISPUTE, "currency": "NGN"}
    fields |= {"order_id": order_id, "status": how, "amount_kobo": amount_kobo}
    return DisputeChangedV1(**fields | more)


async def test_a_disputed_orders_tickets_are_blocked_until_it_is_won(bench: Bench) -> None:
    order_id = await bought(bench)
    await bench.deliver(told(order_id, "open"), told(order_id, "open"))
    asked = await bench.given_out(BlockRequestedV1, DisputeNotedV1)
    assert asked == [BlockRequestedV1(order_id=order_id, blocked=True, version=1)], "not noted before it is so"
    await bench.deliver(TicketsBlockedV1(order_id=order_id, blocked=True, version=1), told(order_id, "open"))
    (noted,) = await bench.given_out(DisputeNotedV1)
    assert (noted.status, noted.tickets) == ("open", "blocked")
    await bench.deliver(told(order_id, "won"), TicketsBlockedV1(order_id=order_id, blocked=False, version=2))
    await bench.deliver(told(order_id, "open"))
    (lifted,) = await bench.given_out(BlockRequestedV1)
    assert (lifted.blocked, lifted.version) == (False, 2)
    await bench.deliver(told(order_id, "won"))
    (noted,) = await bench.given_out(DisputeNotedV1)
    assert (noted.status, noted.tickets) == ("won", "valid")
    assert await status(bench, order_id) == "paid"


async def test_a_lost_dispute_revokes_the_tickets_and_pays_nothing(bench: Bench) -> None:
    order_id = await bought(bench)
    await bench.deliver(told(order_id, "lost"))
    (revoke,) = await bench.given_out(RevokeRequestedV1)
    assert revoke.numbers == (1, 2)
    await bench.deliver(revoked(order_id, 1, 2), TicketsBlockedV1(order_id=order_id, blocked=True, version=1))
    (stock,) = await bench.given_out(OrderRefundedV1, RefundRequestedV1)
    assert isinstance(stock, OrderRefundedV1)
    assert await status(bench, order_id) == "refunded"
    await bench.deliver(told(order_id, "lost"))
    (noted,) = await bench.given_out(DisputeNotedV1)
    assert noted.tickets == "revoked"


async def test_a_part_that_was_lost_stays_a_persons_to_decide(bench: Bench) -> None:
    order_id = await bought(bench)
    await bench.deliver(told(order_id, "lost", amount_kobo=400_000))
    await bench.deliver(TicketsBlockedV1(order_id=order_id, blocked=True, version=1))
    await bench.deliver(told(order_id, "lost", amount_kobo=400_000))
    assert await bench.given_out(RevokeRequestedV1, OrderRefundedV1, RefundRequestedV1) == []
    assert await status(bench, order_id) == "paid"
    assert await give_back(bench, order_id, (1,)) is None, "a person may take a place back"


async def test_a_dispute_of_another_charge_touches_no_ticket(bench: Bench) -> None:
    order_id = await bought(bench)
    await bench.deliver(told(order_id, "open", charge_id=charge_of(order_id, 2)))
    (noted,) = await bench.given_out(BlockRequestedV1, RevokeRequestedV1, DisputeNotedV1)
    assert isinstance(noted, DisputeNotedV1)
    assert noted.tickets == "none"


async def test_where_it_is_only_flagged_no_ticket_is_blocked(make_database: MakeDatabase) -> None:
    async with Bench(build(settings(make_database("orders")))) as bench:
        order_id = await bought(bench)
        await bench.deliver(told(order_id, "open"))
        (noted,) = await bench.given_out(BlockRequestedV1, DisputeNotedV1)
        assert isinstance(noted, DisputeNotedV1)
        assert noted.tickets == "valid"


async def test_ticketing_follows_the_newest_word_in_every_order_of_arrival(make_database: MakeDatabase) -> None:
    async with Bench(build_ticketing(ticketing_settings(make_database("ticketing")))) as bench:
        for sequence in permutations([1, 2, 3, 2]):
            order_id = uuid4()
            words = [BlockRequestedV1(order_id=order_id, blocked=version != 2, version=version) for version in sequence]
            await bench.given_out(Message)
            await bench.deliver(*words)
            stands = await bench.value("SELECT blocked_at IS NOT NULL FROM orders WHERE order_id = $1", order_id)
            assert stands, sequence
            assert (await bench.given_out(TicketsBlockedV1))[-1].version == 3
