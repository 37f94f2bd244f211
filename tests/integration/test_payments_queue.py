"""Buyers who wait for a page to pay: one budget for all replicas, a place and a time for each, nobody overtaken."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from services.payments.exceptions import OverBudget
from services.payments.service import PaymentsService, build
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS
from tests.integration.payments_support import TOKENS, Till, end, settings, till
from tests.samples import expired, in_seconds, reserved
from tests.waiting import until

HTML = "text/html,application/xhtml+xml"
BUYERS, ROUNDS, CLICKS = 1_350, 4, 5_000
LIMIT = 60
WINDOW_SECONDS = 4.0


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


@dataclass
class Seen:
    """What one buyer's browser was shown: the way to Paystack, or a place and a time."""

    status: int
    place: int = 0
    text: str = ""


async def look(http: aiohttp.ClientSession, port: int, order_id: UUID) -> Seen:
    """Follow the link to pay, as a browser does."""
    url = f"http://127.0.0.1:{port}/pay/{order_id}?token={TOKENS.make('pay', order_id)}"
    async with http.get(url, headers={"Accept": HTML}, allow_redirects=False) as answer:
        text = await answer.text()
        if answer.status == 303:
            return Seen(303)
        assert answer.status == 503, text
        assert 1 <= int(answer.headers["Retry-After"]) <= 100
        assert 'http-equiv="refresh"' in text
        place, wait = re.findall(r"<dd>([^<]+)</dd>", text)
        assert re.fullmatch(r"a few seconds|\d+ seconds|\d+ minutes", wait), wait
        return Seen(503, int(place.replace(",", "")), text)


@asynccontextmanager
async def replica(one: Till, **changes: Any) -> AsyncIterator[PaymentsService]:
    """One more replica beside the till's."""
    url = one.service.settings.database_url
    service = build(settings(url, paystack_url=one.paystack.url, **changes))
    await service.start()
    try:

        async def is_ready() -> bool:
            return await service.why_not_ready() is None

        assert await until(is_ready, PATIENCE_SECONDS, "the replica is ready")
        yield service
    finally:
        await service.stop()


async def problem(one: Till, order_id: UUID) -> Any:
    """What a program in the queue is told."""
    document = await one.click(order_id, status=503)
    assert document["code"] == "over_budget"
    return document


async def leave(one: Till, order_id: UUID) -> None:
    """This buyer's browser was closed a while ago."""
    await one.bench.value(
        "UPDATE turns SET seen_at = seen_at - interval '1 hour' WHERE order_id = $1 RETURNING place", order_id
    )


async def test_5000_clicks_on_three_replicas_keep_one_budget_and_everybody_has_a_place(database_url: str) -> None:
    changes: dict[str, Any] = {"initialise_per_minute": LIMIT, "budget_window_seconds": WINDOW_SECONDS}
    # However slow the machine is, nobody counts as gone.
    changes |= {"queue_patience_seconds": 300.0, "database_connections": 8}
    async with till(database_url, **changes) as one, replica(one, **changes) as two, replica(one, **changes) as three:
        orders = [reserved(expires_at=in_seconds(900)) for _ in range(BUYERS)]
        for start in range(0, BUYERS, 500):
            await one.bench.deliver_batch(*orders[start : start + 500])
        ports = [service.http_port for service in (one.service, two, three)]
        connector = aiohttp.TCPConnector(limit=100)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=100)) as http:

            async def all_of(buyers: list[UUID]) -> dict[UUID, Seen]:
                looks = (look(http, ports[n % 3], order_id) for n, order_id in enumerate(buyers))
                return dict(zip(buyers, await asyncio.gather(*looks), strict=True))

            first = await all_of([order.order_id for order in orders])
            places = {row["order_id"]: row["place"] for row in await one.bench.fetch("SELECT * FROM turns")}
            waiting = {order_id for order_id, seen in first.items() if seen.status == 503}
            assert waiting == places.keys()
            assert len(waiting) >= BUYERS / 2, "nearly everybody has to wait"
            before, clicks = first, len(first)
            promised: set[UUID] = set()
            all_served: set[UUID] = set()
            for _ in range(ROUNDS - 1):
                after = await all_of(list(waiting))
                clicks += len(after)
                waiting_still = {order_id for order_id in waiting if after[order_id].status == 503}
                assert all(after[one].place <= before[one].place for one in waiting_still)
                # Who stood before somebody who got a page had a call kept for the next time the browser came back.
                assert promised.isdisjoint(waiting_still)
                before, served, waiting = after, waiting - waiting_still, waiting_still
                all_served |= served
                promised = {one for one in waiting if any(places[one] < places[other] for other in served)}
        assert clicks >= CLICKS
        assert all_served, "some of those who waited had their turn"
        # Paystack's own record, over any window.
        calls = (await one.paystack.call("GET", f"/sandbox/calls?window_seconds={WINDOW_SECONDS}"))["initialize"]
        assert calls["max_in_window"] <= LIMIT
        assert calls["count"] == await one.bench.value("SELECT count(*) FROM attempts") > LIMIT


async def test_a_place_is_told_kept_and_only_falls(database_url: str) -> None:
    async with till(database_url, initialise_per_minute=1) as one:
        orders = [await one.order() for _ in range(4)]
        await one.click(orders[0].order_id)
        told = [await problem(one, order.order_id) for order in orders[1:]]
        assert [document["place"] for document in told] == [1, 2, 3]
        # One call a minute: each waits for those before.
        assert [document["wait_seconds"] // 61 for document in told] in ([0, 1, 2], [1, 2, 3])
        assert all(document["expires_at"] and document["retry_after_seconds"] >= 1 for document in told)
        # Reloading, in whatever order, changes nothing.
        again = [(await problem(one, order.order_id))["place"] for order in reversed(orders[1:])]
        assert again == [3, 2, 1]
        # The first of them gives up; nobody waits for him.
        await one.bench.deliver(expired(orders[1].order_id))
        await one.click(orders[1].order_id, status=410)
        assert [(await problem(one, order.order_id))["place"] for order in orders[2:]] == [1, 2]


async def test_who_left_blocks_nobody_and_comes_back_at_the_end(database_url: str) -> None:
    async with till(database_url, initialise_per_minute=1) as one:
        orders = [await one.order() for _ in range(4)]
        await one.click(orders[0].order_id)
        for order in orders[1:]:
            await problem(one, order.order_id)
        await leave(one, orders[1].order_id)
        assert [(await problem(one, order.order_id))["place"] for order in orders[2:]] == [1, 2]
        # The window is over: the next call is for the first of those who are still there, whoever comes first.
        await one.bench.value("UPDATE budget_calls SET ends_at = ends_at - interval '1 hour' RETURNING id")
        assert (await problem(one, orders[1].order_id))["place"] == 3
        assert (await problem(one, orders[3].order_id))["place"] == 2
        assert (await one.click(orders[2].order_id))["reference"]
        assert [(await problem(one, orders[n].order_id))["place"] for n in (3, 1)] == [1, 2]


async def test_a_call_that_came_to_nothing_does_not_cost_the_place(database_url: str) -> None:
    async with till(database_url, initialise_per_minute=1, paystack_timeout_seconds=0.3) as one:
        first, second = await one.order(), await one.order()
        await one.plant(timeout_before_charge=1, endpoints=["initialize"])
        assert (await one.click(first.order_id, status=503))["code"] == "provider_away"
        assert (await problem(one, second.order_id))["place"] == 2
        assert (await problem(one, first.order_id))["place"] == 1
        await one.bench.value("UPDATE budget_calls SET ends_at = ends_at - interval '1 hour' RETURNING id")
        assert (await problem(one, second.order_id))["place"] == 2
        await one.click(first.order_id)
        assert (await problem(one, second.order_id))["place"] == 1


async def test_paystacks_limit_sends_its_buyer_to_the_front_of_the_queue(database_url: str) -> None:
    async with till(database_url) as one, replica(one) as other:
        await one.plant(rate_limit_per_minute=1)
        orders = [await one.order() for _ in range(3)]
        await one.click(orders[0].order_id)
        limited = await problem(one, orders[1].order_id)
        assert limited["place"] == 1
        assert 30 < limited["wait_seconds"] <= 60, "as long as Paystack says"
        # The other replica makes no call either.
        waits = await other.paying.click(orders[2].order_id)
        assert waits.place == 2  # type: ignore[union-attr]
        calls = (await one.paystack.call("GET", "/sandbox/calls"))["initialize"]
        assert calls["answers"] == {"200": 1, "429": 1}


async def test_a_buyer_whose_turn_comes_too_late_is_told_so(database_url: str) -> None:
    async with till(database_url, initialise_per_minute=1) as one:
        await one.click((await one.order()).order_id)
        soon, later = await one.order(expires_at=in_seconds(95)), await one.order()
        async with aiohttp.ClientSession() as http:
            page = (await look(http, one.service.http_port, soon.order_id)).text
            assert "Your turn may come later than that" in page
            assert "less than a minute" in page
            page = (await look(http, one.service.http_port, later.order_id)).text
            assert "Your places are held. You have another 13 minutes" in page


async def test_a_slow_call_counts_until_it_has_ended(database_url: str) -> None:
    async with till(database_url, verify_per_minute=1, budget_window_seconds=0.2) as one:
        budgets = one.service.budgets
        call = await budgets.take("verify")
        # The window is over and the call is not: it may arrive at Paystack only now.
        await end(in_seconds(0.3))
        with pytest.raises(OverBudget):
            await budgets.take("verify")
        await budgets.end(call)

        async def is_free() -> bool:
            try:
                return bool(await budgets.take("verify"))
            except OverBudget:
                return False

        assert await until(is_free, 20, "one window after its end there is room")


async def test_loops_leave_room_for_people(database_url: str) -> None:
    async with till(database_url, verify_per_minute=10) as one:
        budgets = one.service.budgets
        for _ in range(9):
            await budgets.take("verify", patient=True)
        with pytest.raises(OverBudget):
            await budgets.take("verify", patient=True)
        await budgets.take("verify")
