"""The demo: open the sale, let the buyers in, wait until nothing moves, add up."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from uuid import UUID

from deploy.demo.buyers import ARRIVAL_SECONDS, PATIENCE_SECONDS, SPECIAL, Sale, Tally, buy, make_kinds
from deploy.demo.shop import Shop, ShopError
from deploy.demo.stack import DemoStack
from deploy.demo.sums import Books, Sum, check_sums, read_books
from deploy.local.state import PROJECT

BUYERS = 300
PLACES = 100
PRICE_KOBO = 500_000
TICKET_SECONDS = 30


async def run_sale(
    stack: DemoStack, *, seed: int, show: Callable[[Tally, dict[str, int]], None]
) -> tuple[Tally, list[Sum]]:
    """Run the whole sale; returns what happened and the final sums. ``show`` is called a few times a second."""
    tally = Tally()
    async with Shop.open(stack.addresses["gateway"], stack.addresses["sandbox"]) as shop:
        tier = await _open_sale(shop, stack)
        sale = Sale(shop, stack.addresses["payments"], tier, PRICE_KOBO, tally)
        chosen = random.Random(seed)  # noqa: S311 - makes the crowd repeatable, guards nothing
        watching = asyncio.create_task(_watch(shop, tier, tally, show))
        try:
            await asyncio.gather(
                *(
                    buy(sale, number, kind, _arrival(number, chosen))
                    for number, kind in enumerate(make_kinds(BUYERS, chosen))
                )
            )
            books = await _settle(shop, stack)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        mails = await _mails(shop, stack, books)
    sums = [*check_sums(books), mails, _check_kinds(tally), check_ticket(stack, books)]
    return tally, sums


def _arrival(number: int, chosen: random.Random) -> float:
    # The special ones come within the first instant, so that none of them finds the sale sold out.
    return 0.0 if number < sum(SPECIAL.values()) else 0.5 + chosen.random() * ARRIVAL_SECONDS


async def _open_sale(shop: Shop, stack: DemoStack) -> UUID:
    answer = await shop.request(
        "POST",
        f"{stack.addresses['inventory']}/v1/admin/events/{stack.event_id}/tiers",
        json={"name": "Flash sale", "price_kobo": PRICE_KOBO, "capacity": PLACES},
        headers={"Authorization": f"Bearer {stack.secrets.organiser_token}"},
    )
    if answer.status != 201:
        raise ShopError(f"the sale could not be opened: {answer.status} {dict(answer.body)}")
    return UUID(answer.body["id"])


async def _watch(shop: Shop, tier: UUID, tally: Tally, show: Callable[[Tally, dict[str, int]], None]) -> None:
    while True:
        tiers = [one for event in await shop.events() for one in event["tiers"] if one["id"] == str(tier)]
        if tiers:
            show(tally, {name: int(tiers[0][name]) for name in ("available", "held", "sold")})
        await asyncio.sleep(0.2)


async def _settle(shop: Shop, stack: DemoStack) -> Books:
    """Wait until every sum holds and no case is open; the last books are given back, whether they do or not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        books = await read_books(stack.database_urls, await shop.ledger())
        is_settled = all(one.holds for one in check_sums(books)) and not books.cases
        if is_settled or time.monotonic() > deadline:
            return books
        await asyncio.sleep(0.3)


async def _mails(shop: Shop, stack: DemoStack, books: Books) -> Sum:
    """Every ticket's code was mailed, each to one person and once."""
    codes = {one["code"] for one in books.tickets if one["status"] == "valid"}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = await shop.get(f"{stack.addresses['catcher']}/messages")
        texts = [mail["text"] for mail in answer.body["items"]]
        counts = {code: sum(code in text for text in texts) for code in codes}
        if all(counts.values()) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.3)
    faults = tuple(f"the code {code} was mailed {count} times" for code, count in counts.items() if count != 1)
    return Sum("mail", f"{sum(counts.values())} ticket codes mailed, each once", not faults, faults[:20])


def _check_kinds(tally: Tally) -> Sum:
    faults = tuple(f"nobody came through who {kind}" for kind in SPECIAL if not tally.done[kind])
    text = ", ".join(f"{count} {kind}" for kind, count in tally.done.most_common())
    return Sum("buyers", text, not faults and not tally.complaints, (*faults, *tally.complaints[:20]))


def check_ticket(stack: DemoStack, books: Books) -> Sum:
    """A process without a single setting of a service checks one code, and refuses the same code with one digit off."""
    codes = [one["code"] for one in books.tickets if one["status"] == "valid"]
    if not codes:
        return Sum("P9", "there is no ticket to check", holds=False)
    key = _tickets(
        "event-key", stack.event_id, environment={"TICKETING_MASTER_KEYS": stack.secrets.ticketing_master_keys}
    ).stdout.strip()
    forged = codes[0][:-1] + ("0" if codes[0][-1] != "0" else "1")
    good = _tickets("verify", codes[0], "--event-key", key, environment={})
    bad = _tickets("verify", forged, "--event-key", key, environment={})
    text = f"{codes[0]} is genuine and {forged} is not, says a process without a database"
    holds = (good.returncode, bad.returncode) == (0, 1)
    return Sum("P9", text, holds, () if holds else ((good.stdout + good.stderr + bad.stdout + bad.stderr)[:500],))


def _tickets(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-m", "boxoffice", "tickets", *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ.get("PATH", ""), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TICKET_SECONDS,
        check=False,
    )
