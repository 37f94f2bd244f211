"""The guards under the referee's locks: whoever writes what it saw before another's commit writes nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.orders import store
from services.orders.service import build
from shared.contracts.base import OrderStatus
from tests.databases import MakeDatabase
from tests.harness import Bench
from tests.integration.test_orders import settings
from tests.samples import charge_of, checkout, confirmed, reserved


@pytest.fixture
async def bench(make_database: MakeDatabase) -> AsyncIterator[Bench]:
    async with Bench(build(settings(make_database("orders")))) as one:
        yield one


async def row_of(bench: Bench, order_id: UUID) -> asyncpg.Record:
    """The whole row."""
    (row,) = await bench.fetch("SELECT * FROM orders WHERE order_id = $1", order_id)
    return row


async def write_stale(bench: Bench, order_id: UUID, *, meanwhile: OrderStatus, **changes: Any) -> None:
    """Write ``changes`` to an order as it is now, after another has given it the status ``meanwhile``."""
    async with bench.service.database.acquire() as connection:
        seen = (await store.lock_orders(connection, order_ids=[order_id]))[order_id]
        await connection.execute("UPDATE orders SET status = $2 WHERE order_id = $1", order_id, meanwhile)
        new = replace(seen, version=seen.version + 1, **changes)
        async with connection.transaction():
            await store.write_orders(connection, changes=[(seen, new)])


async def priced(bench: Bench) -> UUID:
    """An order that can be paid."""
    request = checkout()
    await bench.deliver(request, reserved(request.order_id))
    return request.order_id


@pytest.mark.parametrize("meanwhile", ["expired", "cancelled"])
async def test_an_order_that_another_ended_is_not_ended_again(bench: Bench, meanwhile: OrderStatus) -> None:
    order_id = await priced(bench)
    before = dict(await row_of(bench, order_id))
    late = {"status": "paid", "charge_id": charge_of(order_id), "paid_at": before["created_at"], "ask_at": None}
    with pytest.raises(AssertionError, match="left pending twice"):
        await write_stale(bench, order_id, meanwhile=meanwhile, **late)
    assert dict(await row_of(bench, order_id)) == before | {"status": meanwhile}


async def test_an_order_that_another_ended_learns_nothing_as_if_it_were_pending(bench: Bench) -> None:
    order_id = await priced(bench)
    before = dict(await row_of(bench, order_id))
    with pytest.raises(AssertionError, match="changed while it was locked"):
        await write_stale(bench, order_id, meanwhile="expired", total_kobo=1, asks=7)
    assert dict(await row_of(bench, order_id)) == before | {"status": "expired"}


async def test_a_refund_that_another_finished_is_not_begun_again(bench: Bench) -> None:
    order_id = await priced(bench)
    await bench.deliver(confirmed(order_id))
    before = dict(await row_of(bench, order_id))
    with pytest.raises(AssertionError, match="changed while it was locked"):
        await write_stale(bench, order_id, meanwhile="refunded", status="refunding")
    assert dict(await row_of(bench, order_id)) == before | {"status": "refunded"}


async def test_no_order_goes_back_to_pending(bench: Bench) -> None:
    order_id = await priced(bench)
    await bench.deliver(confirmed(order_id))
    before = dict(await row_of(bench, order_id))
    back = {"status": "pending", "charge_id": None, "paid_at": None, "ask_at": before["expires_at"]}
    with pytest.raises(AssertionError, match="changed while it was locked"):
        await write_stale(bench, order_id, meanwhile="paid", **back)
    assert dict(await row_of(bench, order_id)) == before
