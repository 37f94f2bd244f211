"""Which mails there are to be, and what a refusal means for one."""

from datetime import UTC, datetime

import pytest

from services.mailer.domain import (
    Failed,
    Hasten,
    Later,
    Patience,
    Refusal,
    SendAgain,
    Sending,
    Status,
    decide_expired_mail,
    decide_refund_mail,
    decide_refused,
    decide_resend,
    tickets_mail,
)
from shared.contracts.orders import OrderExpiredV1
from shared.contracts.payments import RefundStartedV1
from shared.runtime.ids import new_id
from tests.ticket_samples import tickets_issued

PATIENCE = Patience(first_pause=30, most_pause=3600, give_up=86_400)


@pytest.mark.parametrize("code", [500, 550, 552, 554])
def test_a_permanent_refusal_gives_the_mail_up_at_once(code: int) -> None:
    assert decide_refused(Refusal(code, "no\nsuch user"), tries=1, age_seconds=0, patience=PATIENCE) == Failed(
        f"{code} no such user"
    )


@pytest.mark.parametrize("code", [0, 421, 450, 452])
def test_a_temporary_refusal_is_tried_again_later(code: int) -> None:
    outcome = decide_refused(Refusal(code, "busy"), tries=1, age_seconds=0, patience=PATIENCE)
    assert isinstance(outcome, Later)
    assert outcome.after_seconds == 30


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [
        outcome.after_seconds
        for tries in (1, 2, 3, 9, 1000)
        if isinstance(
            outcome := decide_refused(Refusal(450, "busy"), tries=tries, age_seconds=0, patience=PATIENCE), Later
        )
    ]
    assert pauses == [30, 60, 120, 3600, 3600]


def test_an_old_mail_that_is_still_refused_is_given_up() -> None:
    outcome = decide_refused(Refusal(450, "busy"), tries=7, age_seconds=86_400, patience=PATIENCE)
    assert outcome == Failed("not taken in 7 tries over 24 hours; the last: 450 busy")


def test_a_refused_sender_is_our_own_fault_and_fails_no_mail() -> None:
    assert isinstance(
        decide_refused(Refusal(550, "not you", of_sender=True), tries=1, age_seconds=0, patience=PATIENCE), Later
    )
    assert isinstance(
        decide_refused(Refusal(552, "too large", of_sender=True), tries=1, age_seconds=0, patience=PATIENCE), Failed
    )


def test_the_same_tickets_in_any_order_have_one_key() -> None:
    issued = tickets_issued((1, 2, 3))
    assert tickets_mail(issued, issued.tickets, None) == tickets_mail(issued, reversed(issued.tickets), None)
    assert tickets_mail(issued, issued.tickets[:2], None).key != tickets_mail(issued, issued.tickets, None).key


@pytest.mark.parametrize("started", [None, False, True])
def test_only_a_buyer_who_went_to_pay_is_told_of_the_expiry(started: bool | None) -> None:
    expired = OrderExpiredV1(
        order_id=new_id(), reference="VM9KHU", expires_at=datetime.now(UTC), paying_started=started, email="a@b.example"
    )
    assert (decide_expired_mail(expired, None) is not None) is (started is True)


def test_a_refund_without_an_address_has_no_mail() -> None:
    refund = RefundStartedV1(
        order_id=new_id(), charge_id="1", reference="bx-1", amount_kobo=5, currency="NGN", purpose="late", why="late"
    )
    assert decide_refund_mail(refund, None) is None
    known = decide_refund_mail(refund.model_copy(update={"email": "a@b.example"}), None)
    assert known is not None
    assert (known.kind, known.key) == ("refund_started", "1/late")


def sending(number: int, status: Status, email: str = "ada@example.com") -> Sending:
    now = datetime.now(UTC)
    return Sending(
        id=new_id(), order_id=new_id(), kind="tickets", email=email, status=status, sending=number, tries=1,
        last_error=None, created_at=now, due_at=now, ended_at=None, first_id=None,
    )  # fmt: skip


@pytest.mark.parametrize("status", ["sent", "failed", "replaced"])
def test_a_mail_that_is_over_is_sent_once_more(status: Status) -> None:
    assert decide_resend([sending(1, status)], None) == SendAgain(2, "ada@example.com", ())
    assert decide_resend([sending(1, "failed"), sending(2, status, "b@example.com")], None) == SendAgain(
        3, "b@example.com", ()
    )


def test_a_mail_on_its_way_goes_at_once_and_not_twice() -> None:
    waiting = sending(2, "waiting")
    assert decide_resend([sending(1, "failed"), waiting], None) == Hasten(waiting.id)
    assert decide_resend([sending(1, "failed"), waiting], "ada@example.com") == Hasten(waiting.id)


def test_a_corrected_address_replaces_what_still_waits_for_the_wrong_one() -> None:
    waiting = sending(1, "waiting", "typo@example.com")
    assert decide_resend([waiting], "ada@example.com") == SendAgain(2, "ada@example.com", (waiting.id,))
