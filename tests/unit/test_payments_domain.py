"""The decisions of payments, without any engine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.payments.domain import (
    Abandon,
    Ask,
    AskFirst,
    Attempt,
    Charge,
    Confirm,
    Facts,
    Gone,
    HandOut,
    NoAnswer,
    NotFound,
    Open,
    Payment,
    TooEarly,
    WaitFor,
    decide_charge,
    decide_click,
    decide_deadline,
)
from services.payments.domain_looks import (
    VerifyPlan,
    backoff,
    decide_attempt_status,
    decide_closing,
    decide_next_look,
    is_denial,
)
from services.payments.domain_refunds import (
    Adopt,
    GoneElsewhere,
    NotThere,
    ProviderRefund,
    TooMuch,
    decide_lookup,
    refund_status_of,
)

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ORDER = UUID(int=1)
PLAN = VerifyPlan(open_seconds=60, closing_seconds=2, closing_most_seconds=30, late_seconds=(30, 300))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


PAYMENT = Payment(
    order_id=ORDER,
    amount_kobo=1_000_000,
    currency="NGN",
    order_reference="VK9HHU",
    email="ada@example.com",
    expires_at=after(900),
    traceparent=None,
    closed_at=None,
    grace_ends_at=None,
    closing_why=None,
    deadline_at=None,
    abandoned_at=None,
    ended=None,
    paid_charge_id=None,
    ticketed_charge_id=None,
)
ATTEMPT = Attempt(
    reference="bx-1",
    order_id=ORDER,
    amount_kobo=1_000_000,
    currency="NGN",
    status="open",
    authorization_url="https://checkout.paystack.com/x",
    access_code="x",
    lease_until=after(-10),
    opened_at=NOW,
    verify_count=0,
    denied_at=None,
)
FACTS = Facts("77", "bx-1", "success", 1_000_000, "NGN", "test")
CHARGE = Charge("77", "bx-1", ORDER, 1_000_000, "NGN", NOW, is_answered=False, traceparent=None)


def click(payment: Payment, *attempts: Attempt, session_seconds: float = 0, has_asked: bool = False) -> object:
    return decide_click(
        payment,
        attempts,
        now=NOW,
        last_attempt_seconds=60,
        session_seconds=session_seconds,
        has_asked=has_asked,
    )


def test_the_first_click_opens_a_page_and_the_next_gets_the_same() -> None:
    assert click(PAYMENT) == Open()
    assert click(PAYMENT, ATTEMPT) == HandOut(ATTEMPT)


def test_a_click_waits_for_another_click_until_its_lease_ends() -> None:
    creating = replace(ATTEMPT, status="creating", lease_until=after(5))
    assert click(PAYMENT, creating) == WaitFor(creating)
    dead = replace(creating, lease_until=NOW)
    assert click(PAYMENT, dead, has_asked=True) == Open(dead, "unknown")


def test_paystack_is_asked_about_an_attempt_of_unknown_outcome_before_there_is_another() -> None:
    unknown = replace(ATTEMPT, status="unknown")
    assert click(PAYMENT, unknown) == AskFirst(unknown)
    dead = replace(ATTEMPT, status="creating", lease_until=NOW)
    assert click(PAYMENT, dead) == AskFirst(dead)
    # Once is enough: it was asked for this click, or at some time before.
    assert click(PAYMENT, unknown, has_asked=True) == Open()
    assert click(PAYMENT, replace(unknown, verify_count=1)) == Open()
    assert click(PAYMENT, replace(unknown, denied_at=NOW)) == Open()


@pytest.mark.parametrize("status", ["failed", "refused", "timed_out", "mismatched", "reversed"])
def test_a_click_after_an_attempt_that_is_no_more_opens_a_new_one(status: str) -> None:
    assert click(PAYMENT, replace(ATTEMPT, status=status)) == Open()  # type: ignore[arg-type]


def test_a_session_that_timed_out_needs_a_new_page() -> None:
    old = replace(ATTEMPT, opened_at=after(-31))
    assert click(PAYMENT, old, session_seconds=30) == Open(old, "timed_out")
    assert click(PAYMENT, old, session_seconds=32) == HandOut(old)


def test_a_link_is_gone_when_paid_over_free_or_out_of_time() -> None:
    assert click(PAYMENT, replace(ATTEMPT, status="paid")) == Gone("already_paid")
    assert click(replace(PAYMENT, closed_at=NOW), ATTEMPT) == Gone("order_over")
    assert click(replace(PAYMENT, expires_at=NOW), ATTEMPT) == Gone("order_over")
    assert click(replace(PAYMENT, amount_kobo=0)) == Gone("nothing_to_pay")
    assert click(replace(PAYMENT, expires_at=after(59))) == Gone("too_late")
    assert click(replace(PAYMENT, expires_at=after(61))) == Open()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "confirmed"),
        ({"amount_kobo": 999_999}, "mismatch"),
        ({"amount_kobo": 1_000_001}, "mismatch"),
        ({"currency": "GHS"}, "mismatch"),
        ({"domain": "live"}, "mismatch"),
        ({"status": "reversed"}, "reversed"),
        ({"status": "reversal-pending"}, "reversed"),
    ],
)
def test_a_charge_is_held_against_our_own_row(change: dict[str, object], verdict: str) -> None:
    facts = replace(FACTS, **change)  # type: ignore[arg-type]
    assert decide_charge(facts, ATTEMPT, prefix="bx-", domain="test").verdict == verdict


@pytest.mark.parametrize(
    ("change", "verdict", "surcharge_kobo"),
    [
        ({}, "confirmed", 0),
        ({"amount_kobo": 1_025_000, "requested_kobo": 1_000_000}, "confirmed", 25_000),
        ({"amount_kobo": 1_025_000, "requested_kobo": None}, "mismatch", 0),
        ({"amount_kobo": 1_025_000, "requested_kobo": 1_010_000}, "mismatch", 0),
        ({"amount_kobo": 999_999, "requested_kobo": 1_000_000}, "mismatch", 0),
        ({"amount_kobo": 1_025_000, "requested_kobo": 1_000_000, "currency": "USD"}, "mismatch", 0),
        ({"amount_kobo": 1_025_000, "requested_kobo": 1_000_000, "status": "reversed"}, "reversed", 25_000),
    ],
)
def test_where_the_customer_bears_the_fee_exactly_our_amount_was_requested(
    change: dict[str, object], verdict: str, surcharge_kobo: int
) -> None:
    facts = replace(FACTS, **change)  # type: ignore[arg-type]
    judgement = decide_charge(facts, ATTEMPT, prefix="bx-", domain="test", customer_bears_fees=True)
    assert (judgement.verdict, judgement.surcharge_kobo) == (verdict, surcharge_kobo)


def test_a_reference_that_is_none_of_ours_is_told_by_its_prefix() -> None:
    assert decide_charge(FACTS, None, prefix="bx-", domain="test").verdict == "unknown"
    assert decide_charge(replace(FACTS, reference="shop-1"), None, prefix="bx-", domain="test").verdict == "foreign"


def deadline(payment: Payment, attempts: list[Attempt], charges: list[Charge], at: datetime) -> object:
    return decide_deadline(payment, attempts, charges, expires_at=after(900), now=at)


def test_the_deadline_waits_for_this_databases_clock() -> None:
    assert deadline(PAYMENT, [], [], after(899)) == TooEarly()
    assert deadline(replace(PAYMENT, expires_at=after(1000)), [], [], after(950)) == TooEarly()
    assert deadline(replace(PAYMENT, expires_at=None), [], [], after(900)) == Abandon()


def test_the_deadline_asks_about_open_attempts_once() -> None:
    assert deadline(PAYMENT, [ATTEMPT], [], after(900)) == Ask(is_new=True)
    closing = replace(PAYMENT, closed_at=NOW, grace_ends_at=after(1200))
    assert deadline(closing, [ATTEMPT], [], after(900)) == Ask(is_new=False)
    assert deadline(PAYMENT, [replace(ATTEMPT, status="refused")], [], after(900)) == Abandon()


def test_the_deadline_names_the_charge_that_waits_or_that_paid() -> None:
    second = replace(CHARGE, charge_id="78")
    assert deadline(PAYMENT, [], [CHARGE, second], after(900)) == Confirm(CHARGE)
    paid = replace(PAYMENT, ended="paid", closed_at=NOW, paid_charge_id="78")
    answered = [replace(one, is_answered=True) for one in (CHARGE, second)]
    assert deadline(paid, [], answered, after(900)) == Confirm(answered[1])
    assert deadline(replace(PAYMENT, ended="expired", closed_at=NOW), [], [CHARGE], after(900)) == Abandon()
    abandoned = replace(PAYMENT, abandoned_at=NOW, closed_at=NOW)
    assert deadline(abandoned, [], [replace(CHARGE, is_answered=True)], after(900)) == Abandon()
    assert deadline(abandoned, [], [CHARGE], after(900)) == Confirm(CHARGE)


@pytest.mark.parametrize("status", ["failed", "abandoned", "reversed"])
def test_a_clear_no_is_a_denial(status: str) -> None:
    assert is_denial(replace(FACTS, status=status))
    assert is_denial(NotFound())


@pytest.mark.parametrize("status", ["ongoing", "pending", "processing", "queued", "something-new", "success"])
def test_everything_else_is_asked_about_again(status: str) -> None:
    assert not is_denial(replace(FACTS, status=status))
    assert not is_denial(NoAnswer())


def test_a_closing_payment_is_abandoned_when_all_denied_or_the_grace_is_over() -> None:
    denied = replace(ATTEMPT, denied_at=NOW)
    grace = after(300)
    assert decide_closing([denied, ATTEMPT], has_charge=False, grace_ends_at=grace, now=NOW) is None
    assert decide_closing([denied, denied], has_charge=False, grace_ends_at=grace, now=NOW) == Abandon()
    assert decide_closing([ATTEMPT], has_charge=False, grace_ends_at=grace, now=grace) == Abandon()
    assert decide_closing([denied], has_charge=True, grace_ends_at=grace, now=grace) is None


def test_an_attempt_fails_on_paystacks_word_only() -> None:
    assert decide_attempt_status(ATTEMPT, replace(FACTS, status="failed"), now=NOW) == "failed"
    assert decide_attempt_status(ATTEMPT, replace(FACTS, status="abandoned"), now=NOW) == "open"
    assert decide_attempt_status(ATTEMPT, NotFound(), now=NOW) == "open"
    assert decide_attempt_status(replace(ATTEMPT, status="creating"), NotFound(), now=NOW) == "unknown"
    paid = replace(ATTEMPT, status="paid")
    assert decide_attempt_status(paid, replace(FACTS, status="failed"), now=NOW) == "paid"


def test_looks_back_off_and_never_reach_beyond_the_grace() -> None:
    assert decide_next_look(PAYMENT, ATTEMPT, PLAN, now=NOW) == 60
    closing = replace(PAYMENT, closed_at=NOW, grace_ends_at=after(10))
    assert decide_next_look(closing, ATTEMPT, PLAN, now=NOW) == 2
    assert decide_next_look(closing, replace(ATTEMPT, verify_count=9), PLAN, now=NOW) == 10
    over = replace(PAYMENT, closed_at=NOW, ended="expired")
    assert [decide_next_look(over, replace(ATTEMPT, verify_count=n), PLAN, now=NOW) for n in (0, 1, 2)] == [
        30,
        300,
        None,
    ]
    assert decide_next_look(over, replace(ATTEMPT, status="paid"), PLAN, now=NOW) is None


def test_backoff_doubles_up_to_its_limit_however_often() -> None:
    assert [backoff(n, first_seconds=5, most_seconds=60) for n in (0, 1, 2, 3, 4, 10_000)] == [5, 10, 20, 40, 60, 60]


def lookup(*found: ProviderRefund, taken: frozenset[str] = frozenset()) -> object:
    return decide_lookup(found, amount_kobo=600, charge_kobo=1000, taken=taken)


def test_a_lookup_finds_our_own_refund_and_no_other() -> None:
    ours = ProviderRefund("5", 600, "pending")
    assert lookup(ours) == Adopt(ours)
    assert lookup() == NotThere()
    assert lookup(replace(ours, status="failed")) == NotThere()
    assert lookup(replace(ours, amount_kobo=300)) == NotThere()
    assert lookup(ours, taken=frozenset({"5"})) == TooMuch()
    assert lookup(replace(ours, amount_kobo=1000)) == GoneElsewhere()
    assert lookup(replace(ours, amount_kobo=500)) == TooMuch()


def test_an_unknown_refund_status_counts_as_under_way() -> None:
    assert [refund_status_of(status) for status in ("processed", "failed", "needs-attention", "new")] == [
        "processed",
        "failed",
        "needs_attention",
        "started",
    ]
