"""Several refunds of one charge: each made once, told apart although equal, never more in sum than the charge."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.payments.service import build
from shared.contracts.orders import RefundRequestedV1
from shared.contracts.payments import PaymentConfirmedV1, PaymentRefundedV1, RefundFailedV1, RefundStartedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Note
from tests.integration.payments_support import Till, refund_of, settings, till
from tests.integration.test_payments_money import charged, refunds_at_paystack
from tests.samples import issued, paid
from tests.waiting import until


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


def part(charge: PaymentConfirmedV1, number: int, parts: int = 4) -> RefundRequestedV1:
    """One of several equal parts of a charge, for one ticket."""
    return refund_of(
        charge,
        purpose="organiser",
        amount_kobo=charge.amount_kobo // parts,
        refund_id=UUID(int=number),
        numbers=(number,),
    )


async def all_back(one: Till, count: int) -> None:
    processed = "SELECT count(*) = $1 FROM refunds WHERE status = 'processed'"
    await until(lambda: one.bench.value(processed, count), PATIENCE_SECONDS, f"{count} refunds have gone back")
    await one.paystack.idle()


@pytest.mark.parametrize("ends_as", ["reversed", "success"])
async def test_equal_parts_are_given_back_one_by_one_whatever_the_charge_is_called_then(
    database_url: str, ends_as: str
) -> None:
    async with till(database_url, paystack={"partial_refund_status": ends_as}) as one:
        charge = await charged(one)
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        for number in (1, 2, 3):
            await one.bench.deliver(*[part(charge, number)] * 2)
            await all_back(one, number)
            await one.come_back(charge.reference)
            assert await one.bench.value("SELECT verdict FROM charges") == "confirmed"
        quarter = charge.amount_kobo // 4
        assert await refunds_at_paystack(one) == [(quarter, "processed")] * 3
        told = await one.wait_for(PaymentRefundedV1, 3)
        assert {(refund.refund_id, refund.numbers) for refund in told} == {
            (UUID(int=number), (number,)) for number in (1, 2, 3)
        }
        assert len({refund.refund_id for refund in await one.wait_for(RefundStartedV1, 3)}) == 3
        assert await one.cases() == []


async def test_equal_parts_whose_calls_have_no_answer_are_told_apart(database_url: str) -> None:
    """All calls are made at once and none is answered; looked up, each finds its own refund and no other's."""
    async with till(database_url, paystack_timeout_seconds=0.5) as one:
        charge = await charged(one)
        await one.plant(timeout_after_charge=2, timeout_before_charge=1, endpoints=["create_refund"])
        await one.bench.deliver_batch(*(part(charge, number) for number in (1, 2, 3)))
        await all_back(one, 3)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo // 4, "processed")] * 3
        made = (await one.paystack.call("GET", f"/refund?transaction={charge.charge_id}"))["data"]
        notes = {str(refund["id"]): refund["merchant_note"] for refund in made}
        rows = await one.bench.fetch("SELECT id, provider_refund_id FROM refunds")
        assert {row["provider_refund_id"]: f"boxoffice organiser {row['id']}" for row in rows} == notes


async def test_the_part_that_would_exceed_the_charge_fails_and_the_others_do_not(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver_batch(*(part(charge, number, parts=2) for number in (1, 2, 3)))
        (failed,) = await one.wait_for(RefundFailedV1)
        assert failed.refund_id == UUID(int=3)
        await all_back(one, 2)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo // 2, "processed")] * 2


async def test_the_database_itself_refuses_more_than_the_charge(database_url: str) -> None:
    """Also from two transactions at once, which do not see each other's rows."""
    insert = (
        "INSERT INTO refunds (id, order_id, charge_id, purpose, request_id, reference, amount_kobo, currency, why,"
        " status, next_at) VALUES (gen_random_uuid(), $1, $2, 'organiser', gen_random_uuid(), 'r', $3, 'NGN', 'x',"
        " 'requested', now() + interval '1 day')"
    )
    async with till(database_url) as one:
        charge = await charged(one)
        key = (charge.order_id, charge.charge_id)
        with pytest.raises(asyncpg.CheckViolationError, match="more than its"):
            await one.bench.fetch(insert, *key, charge.amount_kobo + 1)
        database = one.service.database
        async with database.acquire() as first, database.acquire() as second:
            async with first.transaction():
                await first.execute(insert, *key, charge.amount_kobo)
                rival = asyncio.create_task(second.execute(insert, *key, 1))
                waits = "SELECT count(*) > 0 FROM pg_locks WHERE pid = $1 AND NOT granted"
                pid = second.get_server_pid()
                await until(lambda: one.bench.value(waits, pid), PATIENCE_SECONDS, "the rival waits for the charge")
            with pytest.raises(asyncpg.CheckViolationError, match="more than its"):
                await rival
        with pytest.raises(asyncpg.CheckViolationError, match="more than its"):
            await one.bench.fetch("UPDATE refunds SET amount_kobo = amount_kobo + 1")


async def test_a_refund_too_small_for_paystack_fails_at_once(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], amount=50, currency="GHS")
        (failed,) = await one.wait_for(RefundFailedV1)
        assert "minimum amount" in failed.why
        assert await one.bench.value("SELECT calls FROM refunds") == 1
        assert await one.cases() == [("refund_failed", failed.charge_id)]


async def test_a_crowd_of_refunds_keeps_within_the_budget_of_all_replicas_and_each_is_made_once(
    database_url: str, note: Note
) -> None:
    """As after a cancelled event: more refunds than one window of calls allows, two replicas, one of them restarted."""
    count, budget, window = 60, 12, 0.5
    changes: dict[str, Any] = {"other_per_minute": budget, "budget_window_seconds": window + 0.1, "poll_seconds": 0.1}
    async with till(database_url, **changes) as one:
        charges = [await charged(one) for _ in range(count // 4)]
        parts = [part(charge, number) for charge in charges for number in (1, 2, 3, 4)]
        second = build(settings(database_url, paystack_url=one.paystack.url, **changes))
        await second.start()
        try:
            await one.bench.deliver_batch(*parts)
            some = "SELECT count(*) > 10 FROM refunds WHERE provider_refund_id IS NOT NULL"
            await until(lambda: one.bench.value(some), PATIENCE_SECONDS, "some refunds are made")
        finally:
            await second.stop()
        await all_back(one, count)
        assert sorted(await refunds_at_paystack(one)) == sorted((one_.amount_kobo, "processed") for one_ in parts)
        calls = await one.paystack.call("GET", f"/sandbox/calls?window_seconds={window}")
        most = calls["create_refund"]["max_in_window"]
        assert most <= budget
        assert calls["create_refund"]["count"] == count
    note(f"{count} refunds by two replicas: at most {most} calls in {window} s ({budget} allowed)")
