"""The rules of the Paystack sandbox that need no server."""

from dataclasses import replace

import pytest

from deploy.sandbox import refusals
from deploy.sandbox.checkout import cancel_url, return_url
from deploy.sandbox.model import CARD_REFUND_FAILS, CARD_REFUND_NEEDS_ATTENTION, CARD_SUCCEEDS, Refund, Transaction, iso
from deploy.sandbox.money import local_fee, naira, parse_amount, with_fee
from deploy.sandbox.paging import read_page, read_time, select_page
from deploy.sandbox.refunds import RefundWanted, decide_refund, next_refund, outcome_for_card, read_refund, status_after
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.traffic import Faults, RateLimiter, Window, most_in_window
from deploy.sandbox.transactions import Decision, Outcome, Wanted, decide_outcome, read_initialize, read_metadata

ABANDONED = Transaction(
    id=1,
    reference="BX-1",
    access_code="abc",
    email="ada@example.com",
    customer_id=2,
    requested_amount=20_000,
    amount=20_000,
    currency="NGN",
    domain="test",
    status="abandoned",
    created_at=100.0,
)
PAID = replace(ABANDONED, status="success", paid_at=110.0, fees=300)


def refund(status: str = "pending", amount: int = 20_000, outcome: str = "processed") -> Refund:
    """Make a refund of the charge above."""
    return Refund(
        id=9,
        transaction=1,
        reference="BX-1",
        amount=amount,
        currency="NGN",
        domain="test",
        status=status,
        outcome=outcome,
        created_at=120.0,
        updated_at=120.0,
        refunded_by="x",
        customer_note="",
        merchant_note="",
    )


def wanted(amount: int | None = None, currency: str | None = None) -> RefundWanted:
    """Ask for a refund of the charge above."""
    return RefundWanted("BX-1", amount, currency, None, None)


@pytest.mark.parametrize("value", [20_000, "20000", 20_000.0, " 20000 "])
def test_amounts_are_read_as_paystack_reads_them(value: object) -> None:
    assert parse_amount(value) == 20_000


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (None, refusals.AMOUNT_REQUIRED),
        ("", refusals.AMOUNT_REQUIRED),
        (100.5, refusals.AMOUNT_NOT_INTEGER),
        ("100.50", refusals.AMOUNT_NOT_INTEGER),
        (0, refusals.INVALID_AMOUNT),
        (-5, refusals.INVALID_AMOUNT),
        (True, refusals.INVALID_AMOUNT),
        ([5], refusals.INVALID_AMOUNT),
        ("a lot", refusals.INVALID_AMOUNT),
        ("٣٠٠", refusals.INVALID_AMOUNT),
        (float("inf"), refusals.INVALID_AMOUNT),
        (float("nan"), refusals.INVALID_AMOUNT),
        (10**9 + 1, refusals.INVALID_AMOUNT),
        ("9" * 400, refusals.INVALID_AMOUNT),
    ],
)
def test_bad_amounts_are_refused(value: object, refusal: Refusal) -> None:
    assert parse_amount(value) == refusal


@pytest.mark.parametrize(
    ("amount", "fee"),
    [(5_000, 75), (20_000, 300), (249_999, 3_750), (250_000, 13_750), (12_666_700, 200_000), (20_000_000, 200_000)],
)
def test_fee_is_the_local_nigerian_one(amount: int, fee: int) -> None:
    assert local_fee(amount) == fee


def test_amount_is_written_in_naira() -> None:
    assert naira(1_250_005) == "₦12,500.05"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"email": None}, refusals.EMAIL_REQUIRED),
        ({"email": "ada"}, refusals.INVALID_EMAIL),
        ({"email": ["a@b.co"]}, refusals.INVALID_EMAIL),
        ({"email": "ada@example"}, refusals.INVALID_EMAIL),
        ({"amount": None}, refusals.AMOUNT_REQUIRED),
        ({"amount": 4_999}, refusals.INVALID_AMOUNT),
        ({"currency": "EUR"}, refusals.UNSUPPORTED_CURRENCY),
        ({"currency": 5}, refusals.UNSUPPORTED_CURRENCY),
        ({"reference": "a b"}, refusals.ILLEGAL_REFERENCE),
        ({"reference": "a_b"}, refusals.ILLEGAL_REFERENCE),
        ({"reference": "a/b"}, refusals.ILLEGAL_REFERENCE),
        ({"reference": ""}, refusals.ILLEGAL_REFERENCE),
        ({"reference": "x" * 101}, refusals.ILLEGAL_REFERENCE),
        ({"reference": "abc\n"}, refusals.ILLEGAL_REFERENCE),
        ({"reference": 5}, refusals.ILLEGAL_REFERENCE),
        ({"callback_url": "javascript:alert(1)"}, refusals.bad_value("Invalid callback_url")),
        ({"callback_url": "http://[::1"}, refusals.bad_value("Invalid callback_url")),
        ({"metadata": [1]}, refusals.bad_value("Invalid metadata")),
    ],
)
def test_bad_initialise_is_refused(change: dict[str, object], refusal: Refusal) -> None:
    body = {"email": "ada@example.com", "amount": "5000", "reference": "BX-1.a=b", **change}
    assert read_initialize(body) == refusal


def test_good_initialise_is_read() -> None:
    body = {"email": "ada@example.com", "amount": "5000", "metadata": '{"seats": 2}'}
    assert read_initialize(body) == Wanted("ada@example.com", 5_000, "NGN", None, None, {"seats": "2"})


def test_metadata_comes_back_with_numbers_as_text() -> None:
    assert read_metadata({"a": 42, "b": [1.5, True, None]}) == {"a": "42", "b": ["1.5", True, None]}
    assert read_metadata(None) == ""
    assert read_metadata("{broken") == "{broken"


def test_success_captures_what_was_charged_and_keeps_what_was_asked() -> None:
    charged = decide_outcome(ABANDONED, Decision("success", amount=30_000, currency="USD", domain="live"), 150.0)
    assert isinstance(charged, Transaction)
    assert (charged.amount, charged.requested_amount, charged.currency) == (30_000, 20_000, "USD")
    assert (charged.domain, charged.paid_at) == ("live", 150.0)


@pytest.mark.parametrize("status", ["success", "reversal-pending", "reversed"])
def test_captured_money_is_not_taken_twice(status: str) -> None:
    again = decide_outcome(replace(PAID, status=status), Decision("success"), 160.0)
    assert isinstance(again, Refusal)
    assert again.http_status == 409


@pytest.mark.parametrize("status", ["failed", "abandoned", "ongoing", "pending"])
def test_everything_unpaid_may_still_succeed(status: Outcome) -> None:
    first = decide_outcome(ABANDONED, Decision(status), 150.0)
    assert isinstance(first, Transaction)
    assert first.status == status
    assert first.paid_at is None
    second = decide_outcome(first, Decision("success"), 160.0)
    assert isinstance(second, Transaction)
    assert second.status == "success"


def test_refund_without_amount_is_the_whole_charge() -> None:
    assert decide_refund(PAID, [], wanted()) == 20_000


@pytest.mark.parametrize(
    ("charge", "earlier", "asked", "refusal"),
    [
        (ABANDONED, [], wanted(), refusals.NOT_PAID),
        (PAID, [refund()], wanted(1), refusals.TRANSACTION_REVERSED),
        (PAID, [refund(amount=5_000)], wanted(), refusals.REFUND_TOO_LARGE),
        (PAID, [refund(amount=5_000)], wanted(15_001), refusals.REFUND_TOO_LARGE),
        (PAID, [], wanted(20_001), refusals.REFUND_TOO_LARGE),
        (PAID, [], wanted(5_000, "GHS"), refusals.REFUND_CURRENCY),
        (replace(PAID, status="reversed"), [], wanted(), refusals.TRANSACTION_REVERSED),
    ],
)
def test_refund_never_gives_back_more_than_was_taken(
    charge: Transaction, earlier: list[Refund], asked: RefundWanted, refusal: Refusal
) -> None:
    assert decide_refund(charge, earlier, asked) == refusal


def test_failed_refund_can_be_asked_for_again() -> None:
    assert decide_refund(PAID, [refund("failed")], wanted()) == 20_000


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"transaction": ""},
        {"transaction": True},
        {"transaction": [1]},
        {"transaction": "x", "amount": "1.5"},
        {"transaction": "x", "currency": 5},
        {"transaction": "x", "merchant_note": "n" * 1_001},
    ],
)
def test_bad_refund_is_refused(body: dict[str, object]) -> None:
    assert isinstance(read_refund(body), Refusal)


@pytest.mark.parametrize(
    ("card", "steps"),
    [
        (CARD_SUCCEEDS, ["pending", "processing", "processed"]),
        (CARD_REFUND_FAILS, ["pending", "processing", "failed"]),
        (CARD_REFUND_NEEDS_ATTENTION, ["pending", "processing", "needs-attention"]),
    ],
)
def test_refund_goes_the_way_of_its_card(card: str, steps: list[str]) -> None:
    moving: Refund | None = refund(outcome=outcome_for_card(card))
    seen = []
    while moving is not None:
        seen.append(moving.status)
        moving = next_refund(moving, 130.0)
    assert seen == steps


@pytest.mark.parametrize(
    ("refunds", "status"),
    [
        ([], "success"),
        ([refund("pending", 5_000)], "reversal-pending"),
        ([refund("needs-attention")], "reversal-pending"),
        ([refund("processed", 5_000), refund("processing", 5_000)], "reversal-pending"),
        ([refund("processed")], "reversed"),
        ([refund("processed", 5_000)], "partly"),
        ([refund("failed")], "success"),
        ([refund("failed"), refund("processed")], "reversed"),
    ],
)
def test_charge_shows_the_state_of_its_refunds(refunds: list[Refund], status: str) -> None:
    assert status_after(PAID, refunds, "partly") == status


def test_callback_keeps_its_own_query() -> None:
    assert return_url("http://shop.test/cb?a=1", "BX-1") == "http://shop.test/cb?a=1&trxref=BX-1&reference=BX-1"


def test_cancel_action_must_be_a_web_address() -> None:
    assert cancel_url(replace(ABANDONED, metadata={"cancel_action": "http://shop.test/"})) == "http://shop.test/"
    assert cancel_url(replace(ABANDONED, metadata={"cancel_action": "javascript:alert(1)"})) is None
    assert cancel_url(replace(ABANDONED, metadata="text")) is None


def test_cursor_pages_show_each_row_once() -> None:
    rows = [replace(ABANDONED, id=i, created_at=float(i)) for i in range(25, 0, -1)]
    seen, query = [], {"use_cursor": "true", "perPage": "10"}
    while True:
        page = read_page(query)
        assert not isinstance(page, Refusal)
        selected, meta = select_page(rows, page, lambda _: True, lambda row: row.amount)
        seen += [row.id for row in selected]
        if meta["next"] is None:
            break
        query = {**query, "next": meta["next"]}
    assert seen == list(range(25, 0, -1))


def test_offset_meta_counts_everything() -> None:
    rows = [replace(ABANDONED, id=i, created_at=float(i)) for i in range(25, 0, -1)]
    page = read_page({"perPage": "10", "page": "3"})
    assert not isinstance(page, Refusal)
    selected, meta = select_page(rows, page, lambda _: True, lambda row: row.amount)
    assert [row.id for row in selected] == [5, 4, 3, 2, 1]
    assert meta == {"total": 25, "total_volume": 500_000, "skipped": 20, "perPage": 10, "page": 3, "pageCount": 3}


@pytest.mark.parametrize(
    "query",
    [{"perPage": "0"}, {"perPage": "1001"}, {"page": "-1"}, {"page": "x"}, {"from": "soon"}, {"next": "???"}],
)
def test_bad_paging_is_refused(query: dict[str, str]) -> None:
    assert isinstance(read_page(query), Refusal)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-01T00:01:00.500Z", 60.5),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1970-01-01T01:01:00 01:00", 60.0),
    ],
)
def test_times_of_filters_are_read(text: str, at: float) -> None:
    assert read_time(text) == at


def test_times_are_written_as_paystack_writes_them() -> None:
    assert iso(60.5) == "1970-01-01T00:01:00.500Z"
    assert iso(None) is None


def test_limit_holds_in_any_minute() -> None:
    limiter = RateLimiter("2")
    answers = [limiter.ask("verify", at) for at in (0.0, 30.0, 59.0, 60.0, 61.0, 90.0)]
    assert [a.allowed for a in answers if a is not None] == [True, True, False, True, False, True]
    assert answers[2] is not None
    assert answers[2].headers() == {
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "1",
    }


def test_live_limits_give_initialise_and_verify_their_own() -> None:
    limiter = RateLimiter("live")
    for endpoint, limit in (("initialize", 1_200), ("verify", 3_000), ("list_transactions", 600)):
        allowed = [limiter.ask(endpoint, 1.0) for _ in range(limit + 1)]
        assert [a.allowed for a in allowed if a is not None] == [True] * limit + [False]
    # Refunds share the common limit, which the lists have used up.
    assert (answer := limiter.ask("create_refund", 1.0)) is not None
    assert not answer.allowed


def test_window_remembers_its_fullest_minute() -> None:
    window = Window()
    for at in (0.0, 1.0, 59.0, 61.0, 200.0):
        window.add(at)
    assert window.most == 3


def test_counted_faults_run_out_and_endless_ones_do_not() -> None:
    faults = Faults(fail_next=2, timeout_after_charge=-1)
    assert [faults.take("fail_next") for _ in range(3)] == [True, True, False]
    assert [faults.take("timeout_after_charge") for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("amount", [5_000, 20_000, 246_249, 246_250, 250_000, 300_000, 12_666_700, 90_000_000])
def test_a_fee_on_top_leaves_what_was_asked_for(amount: int) -> None:
    charged = with_fee(amount, "NGN")
    assert charged - local_fee(charged) >= amount
    # Only the step at N2,500 can make a smaller charge leave as much.
    assert charged - local_fee(charged) - amount <= 1 or charged - 1 - local_fee(charged - 1) < amount


def test_a_window_counts_what_lies_within_its_length() -> None:
    times = [0.0, 1.0, 1.5, 2.9, 3.0, 10.0]
    assert [most_in_window(times, seconds) for seconds in (0.5, 1.0, 2.0, 60.0)] == [2, 2, 3, 6]
