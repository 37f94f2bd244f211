"""Three hundred buyers, and what each of them does."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from deploy.demo.shop import Answer, Shop, ShopError

Kind = Literal["pays", "leaves", "pays late", "double-clicks", "sends a price", "webhook lost"]

#: How many of each there are; the others want to pay, and most of them come too late.
SPECIAL: dict[Kind, int] = {"leaves": 30, "pays late": 1, "double-clicks": 1, "sends a price": 1, "webhook lost": 1}
#: Seconds within which all buyers arrive.
ARRIVAL_SECONDS = 6.0
#: How long a buyer who found nothing left goes on looking for a place that comes back, and how often.
SECOND_CHANCE_SECONDS = 30.0
LOOK_SECONDS = 1.0
#: Seconds anything at all may take before the demo says that it failed.
PATIENCE_SECONDS = 40.0


@dataclass
class Tally:
    """What has happened so far, and what should not have."""

    asked: int = 0
    won: int = 0
    sold_out: int = 0
    second_chances: int = 0
    done: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sale:
    """What buyers need to know."""

    shop: Shop
    payments_url: str
    tier: UUID
    price_kobo: int
    tally: Tally


def make_kinds(count: int, chosen: random.Random) -> list[Kind]:
    """Who does what. The special ones arrive first, so that each gets a place; the others come in any order."""
    special: list[Kind] = [kind for kind, many in SPECIAL.items() for _ in range(many)]
    chosen.shuffle(special)
    others: list[Kind] = ["pays"] * (count - len(special))
    return [*special, *others]


async def buy(sale: Sale, number: int, kind: Kind, delay_seconds: float) -> None:
    """One buyer from arrival to goodbye. What goes wrong is noted, never raised."""
    await asyncio.sleep(delay_seconds)
    try:
        await _buy(sale, number, kind)
    except (ShopError, OSError, TimeoutError, KeyError) as error:
        sale.tally.complaints.append(f"buyer {number} ({kind}): {type(error).__name__}: {error}")


async def _buy(sale: Sale, number: int, kind: Kind) -> None:
    order = await _ask(sale, number, kind)
    if order.status == 409:
        sale.tally.sold_out += 1
        again = await _look_again(sale, number) if number % 10 == 0 else None
        if again is None:
            return
        sale.tally.second_chances += 1
        order = again
    if not order.won:
        raise ShopError(f"checkout answered {order.status}: {dict(order.body)}")
    sale.tally.won += 1
    if order.body["total_kobo"] != sale.price_kobo:
        raise ShopError(f"the order costs {order.body['total_kobo']} kobo, not {sale.price_kobo}")
    await _ENDINGS[kind](sale, order)
    sale.tally.done[kind] += 1


async def _ask(sale: Sale, number: int, kind: Kind) -> Answer:
    sale.tally.asked += 1
    lies: dict[str, Any] = {"price": 1, "total_kobo": 1, "name": "For free"} if kind == "sends a price" else {}
    return await sale.shop.checkout((sale.tier, 1), email=f"buyer{number:03}@example.com", prefer="wait=15", **lies)


async def _look_again(sale: Sale, number: int) -> Answer | None:
    """A place that somebody left comes back: try again for a while."""
    deadline = asyncio.get_running_loop().time() + SECOND_CHANCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        order = await sale.shop.checkout((sale.tier, 1), email=f"buyer{number:03}@example.com", prefer="wait=15")
        if order.won:
            return order
    return None


async def _pays(sale: Sale, order: Answer) -> None:
    await sale.shop.pay(order)
    await _paid(sale, order)


async def _leaves(sale: Sale, order: Answer) -> None:
    await sale.shop.until(order.order_id, order.token, {"expired"}, PATIENCE_SECONDS)


async def _pays_late(sale: Sale, order: Answer) -> None:
    reference = (await sale.shop.click(order.body["payment_url"])).body["reference"]
    await sale.shop.until(order.order_id, order.token, {"expired"}, PATIENCE_SECONDS)
    await sale.shop.settle(reference)
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not any(one["reference"] == reference for one in (await sale.shop.ledger())["refunds"]):
        if asyncio.get_running_loop().time() > deadline:
            raise ShopError("money that came late was not given back")
        await asyncio.sleep(0.2)


async def _double_clicks(sale: Sale, order: Answer) -> None:
    clicks = await asyncio.gather(*(sale.shop.click(order.body["payment_url"]) for _ in range(3)))
    references = {str(click.body.get("reference")) for click in clicks}
    if len(references) != 1:
        raise ShopError(f"three clicks opened {len(references)} payments")
    (reference,) = references
    await sale.shop.settle(reference, webhooks=5)
    await asyncio.gather(*(sale.shop.come_back(sale.payments_url, reference) for _ in range(2)))
    await _paid(sale, order)


async def _loses_webhook(sale: Sale, order: Answer) -> None:
    await sale.shop.pay(order, webhooks=0)
    await _paid(sale, order)


async def _paid(sale: Sale, order: Answer) -> None:
    paid = await sale.shop.until(order.order_id, order.token, {"paid"}, PATIENCE_SECONDS, tickets=True)
    if len(paid["tickets"]) != 1:
        raise ShopError(f"one place was paid for and {len(paid['tickets'])} tickets came")


_ENDINGS: dict[Kind, Callable[[Sale, Answer], Awaitable[None]]] = {
    "pays": _pays,
    "sends a price": _pays,
    "leaves": _leaves,
    "pays late": _pays_late,
    "double-clicks": _double_clicks,
    "webhook lost": _loses_webhook,
}
