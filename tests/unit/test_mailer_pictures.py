"""The mail is looked at: every page and every screen is rendered to a picture, and its QRs are read back from that.

The texts that a scanner finds must be genuine under the public key alone, as they are at a gate.
"""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from unicodedata import normalize

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.mailer.domain import tickets_mail
from services.mailer.rendering import Renderer
from services.mailer.store import Mail
from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.qr import QrTicket, make_qr, verify_qr_with
from shared.contracts.base import IssuedTicket, SoldEvent
from shared.contracts.ticketing import TicketsIssuedV1
from shared.runtime.ids import new_id
from tests.pictures import PrintedPage, pages_of, shown
from tests.ticket_samples import STARTS_AT, mailer_settings, sold_event

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
RENDERER = Renderer(mailer_settings("postgresql://unused", "smtp://127.0.0.1"))
A4 = (210, 297)

YORUBA = "Ọlá Ṣadé àti Ẹgbẹ́ rẹ̀: Ọdún Ìjìnlẹ̀ Ọ̀ṣun"
ARABIC = "مهرجان لاغوس: ليلة الطبول"
EMOJI = "Night of the Drums 🥁🔥🎉"
HOSTILE = "#emph[x] $x^2$ \\u{41} <b>bold</b> */ // @ref #import"


def genuine(event: SoldEvent, *, places: int = 2, tier_name: str = "Gold") -> TicketsIssuedV1:
    """Tickets as ticketing signs them."""
    tier_id = new_id()
    event_key = derive_event_key(bytes(32), event.id)
    tickets = []
    for number in range(1, places + 1):
        code = make_code(event_key, event.id, "VM9KHU", number, digits=8)
        signed = QrTicket(
            event_id=event.id,
            code=code,
            tier_id=tier_id,
            key_id="s1",
            issued_at=STARTS_AT - timedelta(days=30),
            valid_until=event.ends_at + timedelta(hours=12),
        )
        tickets.append(
            IssuedTicket(number=number, tier_id=tier_id, tier_name=tier_name, code=str(code), qr=make_qr(KEY, signed))
        )
    return TicketsIssuedV1(
        order_id=new_id(), email="ada@example.com", reference="VM9KHU", event=event, tickets=tuple(tickets)
    )


def sent(issued: TicketsIssuedV1, *, email: str = "ada@example.com") -> EmailMessage:
    """The mail after its way over the wire."""
    new = tickets_mail(issued, issued.tickets, None)
    mail = Mail(
        id=new_id(),
        order_id=issued.order_id,
        kind="tickets",
        email=email,
        data=new.data,
        traceparent=None,
        created_at=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
        tries=0,
        age_seconds=0.0,
    )
    message = message_from_bytes(RENDERER.render(mail).as_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def printed(message: EmailMessage) -> list[PrintedPage]:
    """The pages of the PDF that is attached."""
    (pdf,) = [part for part in message.iter_attachments() if part.get_content_type() == "application/pdf"]
    octets = pdf.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return pages_of(octets)


def letters(text: str) -> str:
    """Without spaces, which pages tell by distance, and in one spelling of what can be spelled in several."""
    return normalize("NFD", "".join(text.split()))


def codes(texts: list[str]) -> list[str]:
    """The codes of scanned texts, each checked under the public key."""
    tickets = [verify_qr_with(text, PUBLIC) for text in texts]
    assert None not in tickets, texts
    return [str(ticket.code) for ticket in tickets if ticket is not None]


def test_every_page_is_one_ticket_whose_qr_scans() -> None:
    issued = genuine(sold_event(title=YORUBA), places=4)
    pages = printed(sent(issued))
    assert [codes(page.picture.qrs()) for page in pages] == [[ticket.code] for ticket in issued.tickets]
    assert {page.size for page in pages} == {A4}
    for number, (page, ticket) in enumerate(zip(pages, issued.tickets, strict=True), start=1):
        for said in (
            "Eko Hall",
            "Saturday, 17 May 2031, 20:00 to 01:00 (Africa/Lagos)",
            "Gold",
            f"{number} of 4",
            "VM9KHU",
            "ada@example.com",
            ticket.code,
        ):
            assert said in page.text, (said, page.text)


@pytest.mark.parametrize("title", [YORUBA, ARABIC, EMOJI, HOSTILE, "漢字", "\u202ereversed"])
def test_a_title_in_any_script_leaves_a_page_that_scans(title: str) -> None:
    issued = genuine(sold_event(title=title, venue=f"Hall of {title}"), places=1, tier_name=title)
    (page,) = printed(sent(issued))
    assert codes(page.picture.qrs()) == [issued.tickets[0].code]
    assert issued.tickets[0].code in page.text


# Less the last word: PDFium tells a capital with two marks twice, though it is there once to be seen.
@pytest.mark.parametrize("title", [YORUBA.rpartition(" ")[0], EMOJI, HOSTILE])
def test_what_is_printed_is_what_was_written(title: str) -> None:
    (page,) = printed(sent(genuine(sold_event(title=title), places=1)))
    assert letters(title) in letters(page.text)


@pytest.mark.parametrize(
    "character",
    ["W", "😀", "﷽", "Ọ̀", "i̴͓̤͛̽͐̈́͝", "ab ", "漢"],
    ids=["wide", "emoji", "ligature", "marks", "pile", "words", "no glyph"],
)
def test_the_longest_texts_stay_on_their_page(character: str) -> None:
    long = (character * 200)[:200].strip()
    issued = genuine(sold_event(title=long, venue=long), places=2, tier_name=long)
    pages = printed(sent(issued, email=f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 61}.ng"))
    assert [codes(page.picture.qrs()) for page in pages] == [[ticket.code] for ticket in issued.tickets]
    for page, ticket in zip(pages, issued.tickets, strict=True):
        assert ticket.code in page.text
        assert "VM9KHU" in page.text


@pytest.mark.parametrize("width", [360, 1200], ids=["telephone", "desk"])
@pytest.mark.parametrize("title", ["Lagos Nights", YORUBA])
def test_every_qr_in_the_mail_scans_from_the_screen(width: int, title: str) -> None:
    issued = genuine(sold_event(title=title), places=3)
    screen = shown(sent(issued), width=width)
    assert screen.width == 2 * width, "the mail is wider than the screen"
    assert codes(screen.qrs()) == [ticket.code for ticket in issued.tickets]


def test_a_picture_without_a_qr_has_none() -> None:
    (page,) = printed(sent(genuine(sold_event(), places=1)))
    blank = type(page.picture)(page.picture.width, page.picture.height, bytes([255]) * len(page.picture.octets))
    assert blank.qrs() == []
