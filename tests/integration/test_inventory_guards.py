"""A hold is written once: whoever decided before a rival's commit writes nothing, and takes no stock."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.inventory import store
from services.inventory.service import build
from shared.contracts.base import OrderMessage
from shared.contracts.inventory import StockReservedV1
from shared.contracts.orders import OrderCancelledV1
from tests.databases import MakeDatabase
from tests.harness import Bench
from tests.integration.test_inventory import add_tier, settings, stock
from tests.samples import EARLIER, created, expired, paid


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("inventory")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with Bench(build(settings(database_url))) as one:
        yield one


@pytest.mark.parametrize("status", ["held", "sold", "released", "rejected"])
async def test_a_hold_that_is_there_is_not_written_again(bench: Bench, status: str) -> None:
    tier = await add_tier(bench, 0 if status == "rejected" else 10)
    order = created(None, (tier, 2))
    await bench.deliver(order)
    if status == "sold":
        await bench.deliver(paid(order.order_id))
    if status == "released":
        await bench.deliver(expired(order.order_id))
    before = await bench.fetch("SELECT * FROM holds")
    assert [row["status"] for row in before] == [status]
    async with bench.service.database.acquire() as connection:
        hold = (await store.lock_holds(connection, order_ids=[order.order_id]))[order.order_id]
        assert not await store.insert_holds(connection, holds=[hold], ask_after_seconds=99)
    assert await bench.fetch("SELECT * FROM holds") == before


async def test_an_end_that_is_heard_while_the_order_is_being_reserved_takes_no_stock(
    database_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is there to lock for the end of an unknown order, so a rival can keep it in the middle of ours."""
    for end in (ended_by_expiry, ended_by_cancel):
        tier = await add_tier(bench, 10)
        order = created(None, (tier, 2))
        await deliver_with_rival(bench, database_url, monkeypatch, order, end(order.order_id))
        assert await stock(bench, tier) == (10, 0, 0)
        assert await bench.given_out(StockReservedV1) == []
        status = await bench.value("SELECT status FROM holds WHERE order_id = $1", order.order_id)
        assert status == "released"


async def test_of_two_that_reserve_the_same_order_one_takes_stock(
    database_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival's places are another tier's, so that no stock row stands between the two either."""
    ours, theirs = await add_tier(bench, 10), await add_tier(bench, 10, name="Regular")
    order = created(None, (ours, 2))
    await deliver_with_rival(bench, database_url, monkeypatch, order, created(order.order_id, (theirs, 2)))
    assert await stock(bench, ours) == (10, 0, 0)
    assert await stock(bench, theirs) == (8, 2, 0)
    assert len(await bench.given_out(StockReservedV1)) == 1


def ended_by_expiry(order_id: UUID) -> OrderMessage:
    return expired(order_id)


def ended_by_cancel(order_id: UUID) -> OrderMessage:
    return OrderCancelledV1(**expired(order_id).model_dump() | {"expires_at": EARLIER})


async def deliver_with_rival(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch, order: OrderMessage, meanwhile: OrderMessage
) -> None:
    """Deliver an order; between its look and its insert another replica takes in ``meanwhile`` and commits."""
    insert, rivals = store.insert_holds, [meanwhile]

    async def insert_after_rival(*arguments: Any, **named: Any) -> frozenset[UUID]:
        if rivals:
            message = rivals.pop()
            async with Bench(build(settings(database_url))) as rival:
                await rival.deliver(message)
        return await insert(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_holds", insert_after_rival)
        await bench.deliver(order)
    assert not rivals, "the order was not reserved at all"
