"""The final sums notice each way in which they can be wrong: a check that cannot fail would be worth nothing."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import pytest

from deploy.demo.sums import Books, check_sums

TIER = UUID(int=1)
PAID, EXPIRED, LATE = UUID(int=2), UUID(int=3), UUID(int=4)


def order(order_id: UUID, status: str, charge_id: str | None = None) -> dict[str, Any]:
    lines = [{"tier_id": str(TIER), "quantity": 2, "price_kobo": 500_000}]
    return {
        "order_id": order_id,
        "reference": f"REF{order_id.int}",
        "status": status,
        "total_kobo": 1_000_000,
        "charge_id": charge_id,
        "details": {"lines": lines},
    }


def good() -> Books:
    """One paid order, one that nobody paid, one whose money came late and went back."""
    lines = [{"tier_id": str(TIER), "quantity": 2}]
    return Books(
        tiers=[{"id": TIER, "name": "VIP", "capacity": 10, "available": 8, "held": 0, "sold": 2}],
        holds=[
            {"order_id": PAID, "status": "sold", "lines": lines, "returned": {}},
            {"order_id": EXPIRED, "status": "released", "lines": lines, "returned": {}},
        ],
        orders=[order(PAID, "paid", "71"), order(EXPIRED, "expired"), order(LATE, "expired")],
        tickets=[
            {"order_id": PAID, "number": number, "code": f"REF2-00{number}-aaaaaaaa", "status": "valid"}
            for number in (1, 2)
        ],
        cases=[],
        charges=[{"id": 71, "amount": 1_000_000}, {"id": 72, "amount": 1_000_000}],
        refunds=[{"transaction": 72, "amount": 1_000_000, "status": "processed"}],
    )


def failing(change: Callable[[dict[str, Any]], object]) -> set[str]:
    books = copy.deepcopy(asdict(good()))
    change(books)
    return {one.promise for one in check_sums(Books(**books)) if not one.holds}


def test_good_books_hold() -> None:
    assert [one for one in check_sums(good()) if not one.holds] == []


@pytest.mark.parametrize(
    ("what", "change", "promise"),
    [
        ("a place vanished", lambda b: b["tiers"][0].update(available=7), "P1"),
        ("a place was sold twice", lambda b: b["tiers"][0].update(available=-1, sold=11), "P1"),
        ("sold for nobody", lambda b: b["tiers"][0].update(available=7, sold=3), "P1"),
        ("an order without an end", lambda b: b["orders"][1].update(status="pending"), "P5"),
        ("a place stays locked", lambda b: b["holds"][1].update(status="held"), "P5"),
        ("a paid order without tickets", lambda b: b["tickets"].clear(), "P3"),
        ("one ticket too few", lambda b: b["tickets"].pop(), "P3"),
        ("a ticket of an unpaid order", lambda b: b["tickets"][0].update(order_id=EXPIRED), "P3"),
        ("a ticket of no order", lambda b: b["tickets"][0].update(order_id=UUID(int=9)), "P3"),
        ("a code given twice", lambda b: b["tickets"][1].update(code=b["tickets"][0]["code"]), "P3"),
        ("money kept for nothing", lambda b: b["refunds"].clear(), "P4"),
        ("money given back twice", lambda b: b["refunds"].append(b["refunds"][0]), "P4"),
        ("money given back for tickets", lambda b: b["refunds"][0].update(transaction=71), "P4"),
        ("a refund that failed and no case", lambda b: b["refunds"][0].update(status="failed"), "P4"),
        ("too little given back", lambda b: b["refunds"][0].update(amount=1), "P4"),
        ("tickets and an open case", lambda b: b["cases"].append({"charge_id": "71", "kind": "x"}), "P4"),
        ("a refund and an open case", lambda b: b["cases"].append({"charge_id": "72", "kind": "x"}), "P4"),
        ("a charge nobody knows", lambda b: b["charges"].append({"id": 73, "amount": 5}), "P4"),
    ],
)
def test_each_wrong_book_is_noticed(what: str, change: Callable[[dict[str, Any]], object], promise: str) -> None:
    assert promise in failing(change), what


def test_a_named_open_case_covers_a_charge() -> None:
    assert failing(lambda b: (b["refunds"].clear(), b["cases"].append({"charge_id": "72", "kind": "late"}))) == set()


def test_a_refund_that_is_under_way_is_covered_by_its_case_alone() -> None:
    def begin(books: dict[str, Any]) -> None:
        books["refunds"][0].update(status="pending")
        books["cases"].append({"charge_id": "72", "kind": "late"})

    assert failing(begin) == set()


def test_a_charge_may_be_covered_by_parts_that_add_up() -> None:
    """One of two places was given back, and Paystack could not make the refund."""

    def half(books: dict[str, Any], open_kobo: int) -> None:
        books["orders"][0]["details"]["revoked_numbers"] = [1]
        books["tickets"][0]["status"] = "revoked"
        books["cases"].append({"charge_id": "71", "kind": "refund_failed", "open_kobo": open_kobo})

    assert failing(lambda b: half(b, 500_000)) == set()
    assert failing(lambda b: half(b, 499_999)) == {"P4"}
    assert failing(lambda b: half(b, 1_000_000)) == {"P4"}


def test_tickets_whose_money_went_back_by_another_hand_cover_nothing() -> None:
    def taken(books: dict[str, Any], kind: str) -> None:
        books["refunds"].append({"transaction": 71, "amount": 1_000_000, "status": "processed"})
        books["cases"].append({"charge_id": "71", "kind": kind, "open_kobo": 0})

    assert failing(lambda b: taken(b, "refunded_elsewhere")) == set()
    assert failing(lambda b: taken(b, "refund_failed")) == {"P4"}
