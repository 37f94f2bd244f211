"""A stack that is stopped and started again goes on where it was: orders, stock, money, tickets and mail."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from deploy.demo.shop import Shop
from deploy.demo.sums import check_sums, read_books
from tests.e2e.local_stack import LocalStackUnderTest, free_offset
from tests.processes import processes_of
from tests.waiting import until

RESTART_SECONDS = 180


@pytest.mark.timeout(RESTART_SECONDS)
async def test_a_restart_keeps_orders_and_lets_begun_ones_be_paid(tmp_path: Path) -> None:
    stack = LocalStackUnderTest(tmp_path / "state", free_offset())
    try:
        stack.command("up", "--detach")
        async with Shop.open(stack.url("gateway"), stack.url("sandbox")) as shop:
            (event,) = await shop.events()
            tier = next(UUID(one["id"]) for one in event["tiers"] if one["price_kobo"] > 0)
            paid = await shop.checkout((tier, 1), email="before@example.com")
            await shop.pay(paid)
            before = await shop.until(paid.order_id, paid.token, {"paid"}, 30, tickets=True)
            begun = await shop.checkout((tier, 2), email="after@example.com")
            assert begun.won
        stack.command("down")
        assert processes_of(stack.state) == []

        stack.command("up", "--detach")
        async with Shop.open(stack.url("gateway"), stack.url("sandbox")) as shop:
            assert [one["id"] for one in await shop.events()] == [event["id"]], "the demo event is made once only"
            after = await shop.order(paid.order_id, paid.token)
            assert (after["status"], after["tickets"]) == ("paid", before["tickets"])
            await shop.pay(begun)
            await shop.until(begun.order_id, begun.token, {"paid"}, 30, tickets=True)

            async def mailed() -> bool:
                mails = (await shop.get(f"{stack.url('catcher')}/messages")).body["items"]
                return {mail["to"] for mail in mails} == {"before@example.com", "after@example.com"}

            await until(mailed, 30, "both mails are there, the one from before the restart too")
            urls = json.loads((stack.state / "databases.json").read_text())
            sums = check_sums(await read_books(urls, await shop.ledger()))
            assert [one for one in sums if not one.holds] == []
    finally:
        stack.command("down", expect=None)
    assert processes_of(stack.state) == []
