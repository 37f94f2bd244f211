"""What an order keeps of its mails: the last sending of each, whatever came first."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID

import pytest

from services.orders.domain import decide
from services.orders.domain_messages import view
from services.orders.domain_order import Details, Order
from shared.contracts.base import IssuedTicket, Item
from shared.contracts.mailer import MailFailedV1, MailSentV1
from tests.samples import EMAIL, LATER, reference_of

NOW = datetime(2031, 1, 1, tzinfo=UTC)
ORDER_ID, TIER, MAIL = UUID(int=99), UUID(int=1), UUID(int=7)


def order(**details: object) -> Order:
    return Order(
        order_id=ORDER_ID,
        reference=reference_of(ORDER_ID),
        status="pending",
        version=5,
        email=EMAIL,
        request_hash="ab" * 32,
        created_at=NOW,
        expires_at=LATER,
        details=Details.model_validate({"items": (Item(tier_id=TIER, quantity=1),), **details}),
    )


def failed(sending: int, email: str = EMAIL, **changes: object) -> MailFailedV1:
    return MailFailedV1.model_validate(
        {"order_id": ORDER_ID, "kind": "tickets", "email": email, "why": f"550 {sending}", "mail_id": MAIL,
         "sending": sending, **changes}
    )  # fmt: skip


def sent(sending: int, email: str = EMAIL) -> MailSentV1:
    return MailSentV1(order_id=ORDER_ID, kind="tickets", email=email, mail_id=MAIL, sending=sending)


def after(*messages: MailFailedV1 | MailSentV1) -> Order:
    state = order()
    for message in messages:
        state = decide(state, message, now=NOW).order
    return state


def told(state: Order) -> list[tuple[str, str, str]]:
    return [(one.kind, one.email, one.why) for one in view(state).mail_problems]


def test_a_refused_mail_is_told_and_a_later_sending_that_was_taken_clears_it() -> None:
    assert told(after(failed(1))) == [("tickets", EMAIL, "550 1")]
    assert told(after(failed(1), sent(2))) == []
    assert told(after(failed(1), sent(2), failed(3, "b@example.com"))) == [("tickets", "b@example.com", "550 3")]


@pytest.mark.parametrize("last", [sent(3), failed(3)])
def test_every_order_of_arrival_with_duplicates_ends_in_one_state(last: MailFailedV1 | MailSentV1) -> None:
    other = failed(1, kind="refunded", mail_id=UUID(int=8))
    messages = [failed(1), failed(2), last, other, last]
    ends = {after(*sequence).details for sequence in permutations(messages)}
    assert len(ends) == 1
    (details,) = ends
    problems = {one.kind for one in view(order(**dict(details))).mail_problems}
    assert problems == ({"tickets", "refunded"} if isinstance(last, MailFailedV1) else {"refunded"})


def test_an_older_mailers_message_names_no_mail_and_is_kept_by_its_kind() -> None:
    plain = MailFailedV1(order_id=ORDER_ID, kind="tickets", email=EMAIL, why="550 no")
    assert told(after(plain, plain)) == [("tickets", EMAIL, "550 no")]


def test_a_repeat_changes_nothing() -> None:
    state = after(failed(1))
    assert decide(state, failed(1), now=NOW).order is state


def test_a_mail_to_the_holder_of_a_ticket_is_marked_as_such() -> None:
    ticket = IssuedTicket(
        number=2,
        tier_id=TIER,
        tier_name="x",
        code="222222-002-f3a2b1c0",
        qr="BX1.0000000",
        place=1,
        email="h@b.example",
    )
    state = decide(order(tickets=(ticket,)), failed(1, "h@b.example"), now=NOW).order
    assert [one.to_holder for one in view(state).mail_problems] == [True]
