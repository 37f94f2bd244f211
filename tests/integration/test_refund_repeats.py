"""A refund that is asked for again and again is one refund: one row, one call to Paystack, and never a failure."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from services.payments import store_money
from services.payments.service import PaymentsService, build
from services.payments.store_money import RefundWanted
from shared.contracts.orders import RefundRequestedV1
from shared.contracts.payments import PaymentConfirmedV1, RefundFailedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench
from tests.integration.payments_support import Till, refund_of, settings, till
from tests.integration.test_payments_money import charged, refunds_at_paystack
from tests.waiting import until

TIMES = 5
Repeat = Callable[[list[Bench], RefundRequestedV1], Awaitable[None]]


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


async def as_new_messages(replicas: list[Bench], wanted: RefundRequestedV1) -> None:
    for _ in range(TIMES):
        await replicas[0].deliver(wanted)


async def in_one_batch(replicas: list[Bench], wanted: RefundRequestedV1) -> None:
    await replicas[0].deliver_batch(*[wanted] * TIMES)


async def to_two_replicas_at_once(replicas: list[Bench], wanted: RefundRequestedV1) -> None:
    await asyncio.gather(*(replica.deliver(wanted) for _ in range(TIMES) for replica in replicas))


@pytest.mark.parametrize("repeat", [as_new_messages, in_one_batch, to_two_replicas_at_once])
async def test_a_refund_asked_for_five_times_is_one_refund(database_url: str, repeat: Repeat) -> None:
    async with till(database_url) as one, AsyncExitStack() as stack:
        replicas = [one.bench, Bench(await second_replica(one, database_url, stack))]
        charge = await charged(one)
        # Two purposes that fill the charge between them: whatever is counted twice is more than the charge.
        small = refund_of(charge, amount_kobo=charge.amount_kobo // 4)
        rest = refund_of(charge, amount_kobo=charge.amount_kobo - small.amount_kobo, purpose="organiser")
        for wanted in (small, rest):
            await repeat(replicas, wanted)
        await all_gone_back(one, small, rest)
        for wanted in (small, rest):
            await repeat(replicas, wanted)
        await all_gone_back(one, small, rest)


@pytest.mark.parametrize("repeat_first", [True, False])
async def test_a_repeat_takes_no_room_from_another_refund_in_its_batch(database_url: str, repeat_first: bool) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        small = refund_of(charge, amount_kobo=charge.amount_kobo // 4)
        rest = refund_of(charge, amount_kobo=charge.amount_kobo - small.amount_kobo, purpose="organiser")
        await one.bench.deliver(small)
        await one.bench.deliver_batch(*((small, rest) if repeat_first else (rest, small)))
        await all_gone_back(one, small, rest)


async def test_of_two_that_store_a_refund_at_once_without_a_lock_one_does(database_url: str) -> None:
    """Locks on payments keep handlers apart; the table's own guard holds where one forgets them."""
    async with till(database_url) as one:
        charge = await charged(one)
        wanted = wanted_of(charge)
        database = one.service.database
        async with database.acquire() as first, database.acquire() as second:
            async with first.transaction():
                assert await store_money.insert_refunds(first, wanted=[wanted]) == {wanted.id}
                rival = asyncio.create_task(store_money.insert_refunds(second, wanted=[replace(wanted, id=new_id())]))
                waits = "SELECT count(*) > 0 FROM pg_locks WHERE pid = $1 AND NOT granted"
                pid = second.get_server_pid()
                await until(lambda: one.bench.value(waits, pid), PATIENCE_SECONDS, "the rival waits for the first")
            assert await asyncio.wait_for(rival, PATIENCE_SECONDS) == frozenset()
        rows = await one.bench.fetch("SELECT id, status FROM refunds")
        assert [tuple(row) for row in rows] == [(wanted.id, "requested")]


async def second_replica(one: Till, database_url: str, stack: AsyncExitStack) -> PaymentsService:
    """Another replica on the same database, with its own loop that makes refunds."""
    service = build(settings(database_url, paystack_url=one.paystack.url))
    stack.push_async_callback(service.stop)
    await service.start()

    async def is_ready() -> bool:
        return await service.why_not_ready() is None

    await until(is_ready, PATIENCE_SECONDS, "the second replica is ready without a broker")
    return service


async def all_gone_back(one: Till, *wanted: RefundRequestedV1) -> None:
    """Wait until the money is back; each of these has one row and one refund in Paystack's books, and none failed."""
    processed = "SELECT count(*) = $1 FROM refunds WHERE status = 'processed'"
    await until(lambda: one.bench.value(processed, len(wanted)), PATIENCE_SECONDS, "the money has gone back")
    await one.paystack.idle()
    rows = await one.bench.fetch("SELECT charge_id, purpose, amount_kobo, status FROM refunds ORDER BY amount_kobo")
    assert [tuple(row) for row in rows] == [(w.charge_id, w.purpose, w.amount_kobo, "processed") for w in wanted]
    assert sorted(await refunds_at_paystack(one)) == [(w.amount_kobo, "processed") for w in wanted]
    assert (await one.paystack.call("GET", "/sandbox/calls"))["create_refund"]["count"] == len(wanted)
    one.bench._seen = 0
    assert await one.given_out(RefundFailedV1) == []
    assert await one.cases() == []


def wanted_of(charge: PaymentConfirmedV1) -> RefundWanted:
    asked = refund_of(charge)
    names = ("order_id", "charge_id", "purpose", "reference", "amount_kobo", "currency", "email", "why")
    return RefundWanted(id=new_id(), traceparent=None, **{name: getattr(asked, name) for name in names})
