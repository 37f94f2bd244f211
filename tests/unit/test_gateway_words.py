"""Every state an order can be in has words; money is written as people write it."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.gateway.domain import hint_at
from services.gateway.models import CatalogueTier, MailProblemView, OrderView
from services.gateway.storefront import draw_qr, read_form
from services.gateway.views import REASONS
from services.gateway.words import (
    MESSAGES,
    PURPOSES,
    REFUND_STATES,
    mail_problem,
    money,
    state_of,
    tier_state,
    venue_time,
)
from shared.contracts.base import OrderStatus, RefundPurpose, RejectionReason
from shared.http.problems import Problem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIER = UUID(int=1)


def order(**changes: Any) -> OrderView:
    return OrderView(**{"order_id": UUID(int=1), "server_time": NOW} | changes)


def tier(**changes: Any) -> CatalogueTier:
    fields: dict[str, Any] = {
        "id": TIER, "name": "VIP", "price_kobo": 1, "currency": "NGN", "capacity": 5, "available": 5, "held": 0,
        "sold": 0, "max_per_order": 2, "version": 1,
    }  # fmt: skip
    return CatalogueTier(**fields | changes)


@pytest.mark.parametrize("status", get_args(OrderStatus))
def test_every_status_has_words_and_a_sign(status: OrderStatus) -> None:
    state = state_of(order(status=status))
    assert state.title
    assert state.text
    assert state.sign
    assert state.kind in {"wait", "act", "good", "over"}


def test_every_reason_and_refund_has_words() -> None:
    for reason in get_args(RejectionReason):
        assert MESSAGES[reason]
        assert REASONS[reason]
        assert state_of(order(status="rejected", reason=reason)).text == MESSAGES[reason]
    assert set(PURPOSES) == set(get_args(RefundPurpose))
    assert set(REFUND_STATES) == {"requested", "refunded", "failed"}


def test_an_event_begins_on_the_clock_of_its_place() -> None:
    begins = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert venue_time(begins, ZoneInfo("Africa/Lagos")) == "Friday, 1 January 2027, 00:30 (Africa/Lagos)"


def test_a_refused_mail_is_told_without_its_whole_address() -> None:
    assert hint_at("ada.obi@example.com") == "a…@example.com"
    told = mail_problem(MailProblemView(kind="tickets", email=hint_at("ada.obi@example.com")))
    assert "a…@example.com was refused" in told
    assert "on this page" in told
    assert "ada" not in told
    assert "was refused" in mail_problem(MailProblemView(kind="refunded", email="a…@example.com"))


def test_a_page_promises_no_mail_that_was_refused() -> None:
    ticket = {"number": 1, "tier_id": TIER, "tier_name": "VIP", "code": "222222-001-f3a2b1c0", "qr": "BX1.0000000"}
    assert "by e-mail too" in state_of(order(status="paid", tickets=[ticket])).text
    problem = MailProblemView(kind="tickets", email="a…@example.com")
    assert "mail" not in state_of(order(status="paid", tickets=[ticket], mail_problems=[problem])).text


def test_a_pending_order_is_payable_only_until_its_time_is_over() -> None:
    priced = {"total_kobo": 5, "currency": "NGN"}
    assert state_of(order()).kind == "wait"
    assert state_of(order(**priced, expires_at=NOW + timedelta(seconds=1))).kind == "act"
    assert state_of(order(**priced, expires_at=NOW)).kind == "wait"
    assert "nothing to pay" in state_of(order(total_kobo=0, expires_at=NOW)).text


@pytest.mark.parametrize(
    ("kobo", "currency", "text"),
    [
        (0, "NGN", "₦0"), (500_000, "NGN", "₦5,000"), (123_456_789, "NGN", "₦1,234,567.89"), (5, "NGN", "₦0.05"),
        (150_050, "GHS", "GHS 1,500.50"), (100, None, "1"),
    ],
)  # fmt: skip
def test_money_is_exact(kobo: int, currency: str | None, text: str) -> None:
    assert money(kobo, currency) == text


def test_a_tier_is_open_within_its_window_while_places_are_left() -> None:
    moment = timedelta(seconds=1)
    assert tier_state(tier(), NOW) == "open"
    assert tier_state(tier(available=0), NOW) == "gone"
    assert tier_state(tier(sale_starts_at=NOW + moment), NOW) == "early"
    assert tier_state(tier(sale_starts_at=NOW), NOW) == "open"
    assert tier_state(tier(sale_ends_at=NOW), NOW) == "closed"


def test_a_form_becomes_a_checkout() -> None:
    body = read_form({f"quantity-{TIER}": "2", "quantity-nonsense": "0", "quantity-x": "", "email": " a@b.example "})
    assert [(item.tier_id, item.quantity) for item in body.items] == [(TIER, 2)]
    assert body.email == "a@b.example"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "nothing_chosen"),
        ({f"quantity-{TIER}": "1"}, "email"),
        ({f"quantity-{TIER}": "1", "email": "a@b\x00c"}, "email"),
        ({f"quantity-{TIER}": "²", "email": "a@b.c"}, "invalid"),
        ({f"quantity-{TIER}": "1.5", "email": "a@b.c"}, "invalid"),
        ({"quantity-VIP": "1", "email": "a@b.c"}, "invalid"),
    ],
)
def test_a_form_that_is_wrong_says_what(form: dict[str, str], code: str) -> None:
    with pytest.raises(Problem) as problem:
        read_form(form)
    assert problem.value.code == code


def test_a_qr_code_is_an_image_of_its_own() -> None:
    image = draw_qr("BX1.sample.0123456789").decode()
    assert image.startswith("<?xml")
    assert "http://www.w3.org/2000/svg" in image
    assert draw_qr("BX1.another.0123456789") != image.encode()
