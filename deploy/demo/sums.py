"""The sums of P1, P3 and P4, read from the services' databases and from the provider's own ledger.

Only a check may look into several databases at once; no service does.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson


@dataclass(frozen=True, slots=True)
class Sum:
    """One line of the final account."""

    promise: str
    text: str
    holds: bool
    #: What is wrong, one sentence for each case, at most twenty.
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """What the databases and the provider say."""

    tiers: list[dict[str, Any]]
    holds: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    charges: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    disputes: list[dict[str, Any]] = field(default_factory=list)


async def read_books(database_urls: Mapping[Any, str], ledger: Mapping[str, Any]) -> Books:
    """Read all of it. ``ledger`` is the answer of ``GET /sandbox/ledger``."""
    return Books(
        tiers=await _rows(database_urls["inventory"], "SELECT id, name, capacity, available, held, sold FROM tiers"),
        holds=await _rows(database_urls["inventory"], "SELECT order_id, status, lines, returned FROM holds"),
        orders=await _rows(
            database_urls["orders"], "SELECT order_id, reference, status, total_kobo, charge_id, details FROM orders"
        ),
        tickets=await _rows(database_urls["ticketing"], "SELECT order_id, number, code, status FROM tickets"),
        cases=await _rows(
            database_urls["payments"], "SELECT kind, charge_id, open_kobo, now() - opened_at AS age FROM open_cases"
        ),
        charges=list(ledger["charges"]),
        refunds=list(ledger["refunds"]),
        disputes=list(ledger.get("disputes", ())),
    )


async def _rows(url: str, statement: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.set_type_codec("jsonb", encoder=str, decoder=orjson.loads, schema="pg_catalog")
        return [dict(row) for row in await connection.fetch(statement, timeout=30)]
    finally:
        await connection.close(timeout=5)


def check_sums(books: Books) -> list[Sum]:
    """Every sum, whether it holds or not. Pure."""
    return [check_stock(books), check_final(books), check_tickets(books), check_money(books)]


def check_stock(books: Books) -> Sum:
    """P1, and that the stock rows agree with the orders they are held and sold for."""
    faults = []
    held, sold = Counter[UUID](), Counter[UUID]()
    for hold in books.holds:
        target = {"held": held, "sold": sold}.get(hold["status"])
        if target is None:
            continue
        for line in hold["lines"]:
            target[UUID(line["tier_id"])] += line["quantity"]
        for tier_id, places in hold["returned"].items():
            target[UUID(tier_id)] -= places
    for tier in books.tiers:
        total = tier["available"] + tier["held"] + tier["sold"]
        if total != tier["capacity"] or min(tier["available"], tier["held"], tier["sold"]) < 0:
            faults.append(f"{tier['name']}: {total} places of {tier['capacity']}")
        if (tier["held"], tier["sold"]) != (held[tier["id"]], sold[tier["id"]]):
            faults.append(f"{tier['name']}: the stock row and the orders' holds differ")
    # All tiers are checked; those that nobody bought of are left out of the sentence.
    touched = [tier for tier in books.tiers if tier["held"] or tier["sold"]] or books.tiers
    numbers = {name: sum(tier[name] for tier in touched) for name in ("available", "held", "sold", "capacity")}
    text = "{available} available + {held} held + {sold} sold = {capacity} places".format(**numbers)
    return _sum("P1", text, faults)


def check_final(books: Books) -> Sum:
    """P5: no order is left without an end, and no place without a buyer is held."""
    faults = [f"order {one['reference']} is still pending" for one in books.orders if one["status"] == "pending"]
    faults += [f"order {one['order_id']} still holds places" for one in books.holds if one["status"] == "held"]
    states = Counter(one["status"] for one in books.orders)
    text = ", ".join(f"{count} {status}" for status, count in sorted(states.items())) or "no orders"
    return _sum("P5", f"every order has ended: {text}", faults)


def check_tickets(books: Books) -> Sum:
    """P3: a paid order has a valid ticket for each place not refunded; nobody else has one; no code is there twice."""
    valid = Counter(one["order_id"] for one in books.tickets if one["status"] == "valid")
    faults = []
    places = 0
    for order in books.orders:
        wanted = _places(order) if order["status"] in {"paid", "refunding", "refunded"} else 0
        places += wanted
        if valid.pop(order["order_id"], 0) != wanted:
            faults.append(f"order {order['reference']} ({order['status']}) should have {wanted} valid tickets")
    faults += [f"{count} tickets for order {order_id}, which nobody knows" for order_id, count in valid.items()]
    codes = Counter(one["code"] for one in books.tickets)
    faults += [f"the code {code} was given out {count} times" for code, count in codes.items() if count > 1]
    paid = sum(one["status"] == "paid" for one in books.orders)
    return _sum("P3", f"{paid} paid orders have {places} places and {places} valid tickets", faults)


def _places(order: Mapping[str, Any]) -> int:
    bought: int = sum(line["quantity"] for line in order["details"].get("lines", ()))
    return bought - len(order["details"].get("revoked_numbers", ()))


def check_money(books: Books) -> Sum:
    """P4: every kobo in the provider's books is covered by exactly one of tickets, refund, open case."""
    ticketed = {one["charge_id"]: one for one in books.orders if one["charge_id"] and _places(one) > 0}
    cases = {one["charge_id"]: one for one in books.cases}
    refunded: dict[str, int] = defaultdict(int)
    for refund in books.refunds:
        # Money that is asked back and not there yet is an open case, unless nobody has told payments of it.
        if refund["status"] == "processed" or (
            refund["status"] != "failed" and str(refund["transaction"]) not in cases
        ):
            refunded[str(refund["transaction"])] += refund["amount"]
    for dispute in books.disputes:
        # Lost, the money went back as well as by a refund.
        if dispute["resolution"] in {"merchant-accepted", "auto-accepted"}:
            refunded[str(dispute["transaction"])] += dispute["amount"]
    faults, kobo = [], Counter[str]()
    for charge in books.charges:
        charge_id, amount = str(charge["id"]), charge["amount"]
        covers = _covers(charge_id, amount, ticketed, refunded, cases)
        kobo["captured"] += amount
        if sum(covers.values()) == amount:
            kobo.update(covers)
        else:
            told = " and ".join(f"{name} for {part}" for name, part in covers.items()) or "nothing"
            faults.append(f"charge {charge_id} of {amount} kobo is covered by {told}")
    text = (
        f"{_naira(kobo['captured'])} captured = {_naira(kobo['tickets'])} in tickets"
        f" + {_naira(kobo['a refund'])} refunded + {_naira(kobo['an open case'])} in open cases"
    )
    return _sum("P4", text, faults)


def _covers(
    charge_id: str,
    amount: int,
    ticketed: Mapping[str, Mapping[str, Any]],
    refunded: Mapping[str, int],
    cases: Mapping[str, Mapping[str, Any]],
) -> dict[str, int]:
    order, case = ticketed.get(charge_id), cases.get(charge_id)
    covers = {"a refund": refunded.get(charge_id, 0)}
    if case is not None:
        covers["an open case"] = case.get("open_kobo", amount)
    # Tickets whose money went back by another hand are what that case is about: they cover nothing.
    if order is not None and (case is None or case["kind"] != "refunded_elsewhere"):
        prices = [line["price_kobo"] for line in order["details"]["lines"] for _ in range(line["quantity"])]
        revoked = set(order["details"].get("revoked_numbers", ()))
        covers["tickets"] = sum(price for number, price in enumerate(prices, start=1) if number not in revoked)
    return {name: part for name, part in covers.items() if part}


def _sum(promise: str, text: str, faults: list[str]) -> Sum:
    return Sum(promise, text, not faults, tuple(faults[:20]))


def _naira(kobo: int) -> str:
    return f"₦{kobo // 100:,}.{kobo % 100:02}"
