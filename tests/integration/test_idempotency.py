"""One key is one order, through whatever replica it comes, with whatever else happens to the replicas."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.engines import Engines
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS
from tests.integration.gateway_support import Stack, Stream, bearer, make_stack

#: Pairs of requests that meet; in each either may be the first to reach orders.
RACES = 30


@pytest.fixture
async def stack(engines: Engines, namespace: str, make_database: MakeDatabase) -> AsyncIterator[Stack]:
    """The real orders and inventory; each test starts its own gateways."""
    async with make_stack(
        engines.amqp_url,
        namespace,
        orders_database=make_database("orders"),
        inventory_database=make_database("inventory"),
    ) as one:
        yield one


async def test_a_key_at_two_replicas_at_once_and_after_both_restarted_is_one_order(stack: Stack) -> None:
    tier = await stack.add_tier()
    key = uuid4().hex
    async with stack.gateway() as first, stack.gateway() as second:
        answers = await asyncio.gather(
            *(stack.check_out((tier, 2), key=key, gateway=one) for one in (first, second) * 5)
        )
    async with stack.gateway() as third, stack.gateway() as fourth:
        answers += await asyncio.gather(
            *(stack.check_out((tier, 2), key=key, gateway=one) for one in (third, fourth) * 5)
        )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1, "everybody gets the first call's answer"
    assert await stack.count_orders() == 1
    assert await stack.taken(tier) == 2


async def test_of_two_bodies_that_race_under_one_key_one_is_an_order_and_the_other_is_422(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=10 * RACES)

    async def race(first: Any, second: Any) -> Counter[int]:
        key = uuid4().hex
        one, two = await asyncio.gather(
            stack.check_out((tier, 1), key=key, gateway=first), stack.check_out((tier, 2), key=key, gateway=second)
        )
        (loser,) = [answer for answer in (one, two) if answer.status == 422]
        assert loser.json["code"] == "idempotency_key_reused"
        assert "order_token" not in loser.text
        return Counter(places for places, answer in ((1, one), (2, two)) if answer.status == 201)

    async with stack.gateway() as first, stack.gateway() as second:
        replicas = [(first, second), (second, first), (first, first)]
        won = sum(await asyncio.gather(*(race(*replicas[n % 3]) for n in range(RACES))), Counter[int]())
    assert won.total() == RACES
    assert await stack.count_orders() == RACES
    assert await stack.taken(tier) == won[1] + 2 * won[2]


async def test_another_body_after_both_restarted_is_422(stack: Stack) -> None:
    tier = await stack.add_tier()
    key = uuid4().hex
    async with stack.gateway() as first:
        assert (await stack.check_out((tier, 1), key=key, gateway=first)).status == 201
    async with stack.gateway() as second:
        answer = await stack.check_out((tier, 2), key=key, gateway=second)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
        assert (await stack.check_out((tier, 1), key=key, gateway=second)).status == 201
    assert await stack.taken(tier) == 1


async def test_an_order_that_one_replica_took_is_waited_for_followed_read_and_cancelled_at_another(
    stack: Stack,
) -> None:
    tier = await stack.add_tier()
    key = uuid4().hex
    async with stack.gateway() as first, stack.gateway() as second:
        taken = await stack.check_out((tier, 2), key=key, prefer="respond-async", gateway=first)
        assert taken.status == 202
        assert taken.headers["Location"] == f"https://tickets.example/v1/orders/{taken.json['order_id']}"
        url = f"http://127.0.0.1:{second.http_port}/v1/orders/{taken.json['order_id']}/stream"
        async with stack.client.get(url, headers=bearer(taken.json), timeout=aiohttp.ClientTimeout(None)) as response:
            stream = Stream(response)
            waited = await stack.check_out((tier, 2), key=key, prefer="wait=20", gateway=second)
            assert (waited.status, waited.json["total_kobo"]) == (201, 1_000_000)
            assert waited.headers["Preference-Applied"] == "wait=20"
            for gateway in (first, second):
                read = await stack.get_order(taken.json, gateway=gateway)
                assert (read.status, read.json["status"], read.json["total_kobo"]) == (200, "pending", 1_000_000)
            path = f"/v1/orders/{taken.json['order_id']}"
            ended = await stack.call("DELETE", path, gateway=first, headers=bearer(taken.json))
            assert (ended.status, ended.json["status"]) == (200, "cancelled")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await stream.until("cancelled")
        for gateway in (first, second):
            assert (await stack.get_order(taken.json, gateway=gateway)).json["status"] == "cancelled"
    assert await stack.count_orders() == 1
