"""What a mail says, and that nobody's title can make it say something else."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
from icalendar import Calendar, Event

from services.mailer import rendering
from services.mailer.domain import Kind, tickets_mail
from services.mailer.printing import Printer
from services.mailer.rendering import MOST_IMAGES, Renderer, format_money, one_line, told_times
from services.mailer.store import Mail
from shared.contracts.ticketing import TicketsIssuedV1
from shared.http.tokens import Tokens
from shared.runtime.ids import new_id
from tests.ticket_samples import mailer_settings, sold_event, tickets_issued

SETTINGS = mailer_settings("postgresql://unused", "smtp://127.0.0.1")
RENDERER = Renderer(SETTINGS)
PNG = b"\x89PNG\r\n\x1a\n"


def mail_of(kind: Kind, data: dict[str, Any]) -> Mail:
    return Mail(
        id=new_id(),
        order_id=new_id(),
        kind=kind,
        email="ada@example.com",
        data=data,
        traceparent=None,
        created_at=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
        tries=0,
        age_seconds=0.0,
    )


def ticket_mail(issued: TicketsIssuedV1) -> Mail:
    return mail_of("tickets", dict(tickets_mail(issued, issued.tickets, None).data))


def refund_mail(kind: Kind, **changes: Any) -> Mail:
    data = {"amount_kobo": 1_250_050, "currency": "NGN", "purpose": "double", "payment_reference": "bx-77"}
    return mail_of(kind, data | changes)


def sent(mail: Mail) -> EmailMessage:
    """The message after its way over the wire."""
    message = message_from_bytes(RENDERER.render(mail).as_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def attached(message: EmailMessage, content_type: str) -> bytes:
    (part,) = [part for part in message.iter_attachments() if part.get_content_type() == content_type]
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_tickets_have_title_time_venue_codes_and_a_picture_each() -> None:
    mail = ticket_mail(tickets_issued((1, 2)))
    message = sent(mail)
    assert message["Subject"] == "Your tickets for Lagos Nights"
    assert message["From"] == "Boxoffice <tickets@boxoffice.example>"
    assert message["To"] == "ada@example.com"
    text, html = body(message, "plain"), body(message, "html")
    for said in (
        "Lagos Nights",
        "Eko Hall",
        "Saturday, 17 May 2031, 20:00 to 01:00 (Africa/Lagos)",
        "222222-002-f3a2b1c0",
    ):
        assert said in text
        assert said in html
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part.get_content()[:8] for part in pictures] == [PNG, PNG]
    shown = re.findall(r'src="cid:([^"]+)"', html)
    assert [part["Content-ID"] for part in pictures] == [f"<{cid}>" for cid in shown]


def test_links_carry_a_token_that_opens_this_order_alone() -> None:
    mail = ticket_mail(tickets_issued((1,)))
    match = re.search(r"https://tickets\.example/orders/([0-9a-f-]+)\?token=(\S+)", body(sent(mail), "plain"))
    assert match is not None
    assert match[1] == str(mail.order_id)
    tokens = Tokens({"t1": b"a-secret-of-the-tests"})
    assert tokens.check(match[2], "order", mail.order_id)
    assert not tokens.check(match[2], "order", new_id())


def test_without_keys_or_storefront_there_is_no_link() -> None:
    for name in ("storefront_url", "token_keys"):
        settings = SETTINGS.model_copy(update={name: None})
        text = Renderer(settings).render(ticket_mail(tickets_issued((1,)))).as_string()
        assert "/orders/" not in text
        assert "See your order" not in text


def test_a_mail_keeps_its_message_id_however_often_it_is_rendered() -> None:
    mail = ticket_mail(tickets_issued((1,)))
    assert {RENDERER.render(mail)["Message-ID"] for _ in range(3)} == {f"<{mail.id}@boxoffice.example>"}
    assert RENDERER.render(mail)["Date"] == "Thu, 02 Jan 2031 03:04:05 +0000"


def test_a_mail_that_is_sent_again_is_a_new_one_that_names_the_first() -> None:
    first = ticket_mail(tickets_issued((1,)))
    again = replace(first, id=new_id(), first_id=first.id, sending=2)
    assert sent(first)["References"] is None
    assert sent(again)["Message-ID"] != sent(first)["Message-ID"]
    assert sent(again)["References"] == sent(first)["Message-ID"]
    assert sent(again)["Subject"] == sent(first)["Subject"]


def test_a_hostile_title_writes_neither_headers_nor_html() -> None:
    title = "Nice\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script> & {title} {{ 7*7 }}"
    message = sent(ticket_mail(tickets_issued((1,), event=sold_event(title=title, venue='"><img src=x>'))))
    assert message["Bcc"] is None
    assert message["Subject"].startswith("Your tickets for Nice Bcc: everybody@example.com <script>")
    html = body(message, "html")
    assert "<script>" not in html
    assert "<img src=x>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; {title} {{ 7*7 }}" in html


def test_many_tickets_keep_the_mail_small_and_lose_no_code() -> None:
    issued = tickets_issued(range(1, MOST_IMAGES + 31))
    message = sent(ticket_mail(issued))
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == MOST_IMAGES
    html = body(message, "html")
    assert all(ticket.code in html for ticket in issued.tickets)
    assert "the first" not in html
    assert len(message.as_bytes()) < 2_000_000


@pytest.mark.parametrize("kind", ["refund_started", "refunded", "refund_failed"])
@pytest.mark.parametrize("purpose", ["late", "double", "mismatch", "organiser"])
def test_refunds_name_amount_reason_and_payment(kind: Kind, purpose: str) -> None:
    message = sent(refund_mail(kind, purpose=purpose))
    assert "₦12,500.50" in message["Subject"]
    for form in ("plain", "html"):
        assert "₦12,500.50" in body(message, form)
        assert "bx-77" in body(message, form)
        assert "because" in body(message, form)


def test_an_expiry_names_the_order() -> None:
    message = sent(mail_of("expired", {"reference": "VM9KHU"}))
    assert message["Subject"] == "Your order VM9KHU was not paid in time"
    assert "VM9KHU" in body(message, "plain")


@pytest.mark.parametrize(
    ("kobo", "currency", "text"),
    [
        (0, "NGN", "₦0.00"),
        (5, "NGN", "₦0.05"),
        (500_000, "NGN", "₦5,000.00"),
        (9_007_199_254_740_991, "NGN", "₦90,071,992,547,409.91"),
        (1999, "GHS", "GHS 19.99"),
    ],
)
def test_money_is_exact(kobo: int, currency: str, text: str) -> None:
    assert format_money(kobo, currency) == text


def test_a_header_is_one_line_and_bounded() -> None:
    assert one_line("a\r\nb\tc\x00d\u2028e  f") == "a b c d e f"
    assert len(one_line("x" * 500)) == 150


def test_more_tickets_than_pages_are_named_and_keep_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_PAGES", 3)
    issued = tickets_issued(range(1, 6))
    message = sent(ticket_mail(issued))
    for form in ("plain", "html"):
        assert "a page for each of the first 3." in body(message, form)
        assert all(ticket.code in body(message, form) for ticket in issued.tickets)
    with pypdfium2.PdfDocument(attached(message, "application/pdf")) as pdf:
        assert len(pdf) == 3


def test_tickets_that_cannot_be_printed_are_mailed_without_a_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise RuntimeError("out of ink")

    monkeypatch.setattr(Printer, "print", fail)
    message = sent(ticket_mail(tickets_issued((1,))))
    assert [part.get_content_type() for part in message.iter_attachments()] == ["text/calendar"]
    assert "PDF" not in body(message, "plain") + body(message, "html")
    assert "222222-001-f3a2b1c0" in body(message, "plain")


def test_a_ticket_is_numbered_among_the_places_of_its_order() -> None:
    issued = tickets_issued((1, 2, 3))
    alone = mail_of("tickets", dict(tickets_mail(issued, issued.tickets[1:2], None).data))
    assert "2 of 3" in body(sent(alone), "plain")
    reissued = mail_of("tickets", dict(alone.data) | {"places": 1})
    assert " of " not in body(sent(reissued), "plain").split("Each code")[0]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (5, "Saturday, 17 May 2031, 20:00 to 01:00 (Africa/Lagos)"),
        (26, "Saturday, 17 May 2031, 20:00 to Sunday, 18 May 2031, 22:00 (Africa/Lagos)"),
    ],
)
def test_an_event_over_days_ends_on_a_named_day(hours: int, told: str) -> None:
    starts_at = datetime(2031, 5, 17, 20, 0, tzinfo=ZoneInfo("Africa/Lagos"))
    assert told_times(starts_at, starts_at + timedelta(hours=hours)) == told


def test_only_a_mail_with_tickets_has_something_attached() -> None:
    attachments = [part.get_filename() for part in sent(ticket_mail(tickets_issued((1,)))).iter_attachments()]
    assert attachments == ["tickets-222222.pdf", "event.ics"]
    for mail in (refund_mail("refunded"), mail_of("expired", {"reference": "VM9KHU"})):
        assert list(sent(mail).iter_attachments()) == []


def test_a_repeated_mail_has_the_same_pages() -> None:
    mail = ticket_mail(tickets_issued((1, 2)))
    assert attached(sent(mail), "application/pdf") == attached(sent(mail), "application/pdf")


def calendar_of(mail: Mail) -> tuple[Calendar, Event]:
    calendar = Calendar.from_ical(attached(sent(mail), "text/calendar"))
    assert isinstance(calendar, Calendar)
    assert calendar.errors == []
    (event,) = calendar.events
    assert event.errors == []
    return calendar, event


def test_a_calendar_reads_the_event_as_it_was_meant() -> None:
    title = "Drums; bass, \\ more\\n\u200b and \u1ecclá 🎉 " + "x" * 120
    issued = tickets_issued((1, 2), event=sold_event(title=title, venue="Eko, Hall; 2"))
    calendar, event = calendar_of(ticket_mail(issued))
    assert calendar["METHOD"] == "PUBLISH"
    assert (event["SUMMARY"], event["LOCATION"]) == (title, "Eko, Hall; 2")
    assert (event.start, event.end) == (issued.event.starts_at, issued.event.ends_at)
    octets = attached(sent(ticket_mail(issued)), "text/calendar")
    assert b"DTSTART:20310517T190000Z\r\nDTEND:20310518T000000Z\r\n" in octets
    assert max(len(line) for line in octets.split(b"\r\n")) <= 75


def test_an_order_has_an_event_in_the_calendar_once_and_the_last_mail_about_it_counts() -> None:
    issued = tickets_issued((1, 2))
    first = ticket_mail(issued)
    later = replace(first, id=new_id(), created_at=first.created_at + timedelta(minutes=90))
    (_, told), (_, told_again) = calendar_of(first), calendar_of(later)
    assert told["UID"] == told_again["UID"] == f"{first.order_id}.{issued.event.id}@boxoffice.example"
    assert told_again.sequence > told.sequence > 0
    assert calendar_of(ticket_mail(tickets_issued((1,))))[1]["UID"] != told["UID"]


def test_a_calendar_that_is_shared_opens_no_order() -> None:
    octets = attached(sent(ticket_mail(tickets_issued((1,)))), "text/calendar").replace(b"\r\n ", b"")
    assert b"token" not in octets
    assert b"f3a2b1c0" not in octets
