"""Turns a stored mail into what is sent: text, HTML with each ticket's QR, pages to print, a date for the calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import segno
import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.mailer.calendar_file import Entry, calendar_file
from services.mailer.domain import Kind
from services.mailer.printing import Page, Printable, Printer
from services.mailer.settings import MailerSettings
from services.mailer.store import Mail
from shared.http.tokens import Tokens
from shared.runtime.settings import parse_keys

_log = structlog.get_logger()

#: Images in one mail; further tickets are listed with their codes.
MOST_IMAGES = 100
#: Pages of the PDF; a larger order's mail says how many there are. So a PDF has some megabytes at most, and takes a
#: thread some seconds.
MOST_PAGES = 300
#: Characters of a subject; longer titles are cut.
_SUBJECT_CHARACTERS = 150

_SUBJECTS: Mapping[Kind, str] = {
    "tickets": "Your tickets for {title}",
    "expired": "Your order {reference} was not paid in time",
    "refund_started": "Your refund of {amount} is on its way",
    "refunded": "Your {amount} went back to you",
    "refund_failed": "Your refund of {amount} needs a hand",
}
_REASONS = {
    "late": "your payment came after the time to pay was over",
    "double": "this order was paid twice",
    "mismatch": "the amount paid was not the amount of the order",
    "organiser": "the organiser gave back your places",
}


def format_money(amount_kobo: int, currency: str) -> str:
    """Kobo as people write them: ₦12,500.00, or with the currency's code where it is not the naira."""
    units, kobo = divmod(amount_kobo, 100)
    amount = f"{units:,}.{kobo:02d}"
    return f"₦{amount}" if currency == "NGN" else f"{currency} {amount}"


def format_numbers(numbers: Sequence[int], most: int = 20) -> str:
    """Tickets as people name them: ``ticket 3``, ``tickets 1 and 2``; empty for none."""
    if not numbers:
        return ""
    named = [str(number) for number in numbers[:most]]
    rest = [f"{len(numbers) - most} more"] if len(numbers) > most else []
    *first, last = [*named, *rest]
    return f"tickets {', '.join(first)} and {last}" if first else f"ticket {last}"


def one_line(text: str, most: int = _SUBJECT_CHARACTERS) -> str:
    """Text for a header: one line of printable characters, so that nobody writes headers of their own into it."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A QR drawn for the screen and for paper, both with the quiet zone that a scanner needs."""

    png: bytes
    svg: str


def draw_qr(text: str) -> Drawn:
    """Draw a QR: 6 pixels a module as PNG, and as SVG for any size."""
    # Looking for the best of eight masks takes four fifths of the time, to break up patterns that plain text makes.
    # What is signed looks like chance under any mask.
    code = segno.make(text, error="m", micro=False, boost_error=False, mask=0)
    png, svg = BytesIO(), BytesIO()
    code.save(png, kind="png", scale=6, border=4)
    code.save(svg, kind="svg", border=4, xmldecl=False)
    return Drawn(png.getvalue(), svg.getvalue().decode())


def told_times(starts_at: datetime, ends_at: datetime) -> str:
    """When an event begins and ends, in the zone of ``starts_at``, which is named."""
    begins = f"{starts_at:%A}, {starts_at.day} {starts_at:%B %Y, %H:%M}"
    same_night = ends_at - starts_at < timedelta(days=1)
    ends = f"{ends_at:%H:%M}" if same_night else f"{ends_at:%A}, {ends_at.day} {ends_at:%B %Y, %H:%M}"
    return f"{begins} to {ends} ({starts_at.tzinfo})"


def which_of(number: int, places: int) -> str:
    """A ticket's place, as in "2 of 4"; alone where not all of them are known."""
    return f"{number} of {places}" if number <= places else str(number)


class Renderer:
    """Renders mails. Thread-safe."""

    def __init__(self, settings: MailerSettings) -> None:
        self._sender = settings.sender
        self._domain = parseaddr(settings.sender)[1].rpartition("@")[2]
        self._storefront_url = settings.storefront_url
        self._tokens = Tokens(parse_keys(settings.token_keys)) if settings.token_keys is not None else None
        self._zone = ZoneInfo(settings.timezone)
        self._printer = Printer()
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, mail: Mail) -> EmailMessage:
        """The whole message. The same mail always has the same Message-ID, so that a repeat can be told as one."""
        facts = self._facts_of(mail)
        message = EmailMessage(policy=SMTP)
        message["Subject"] = one_line(_SUBJECTS[mail.kind].format(**facts))
        message["From"] = self._sender
        message["To"] = mail.email
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{self._domain}>"
        if mail.first_id is not None:
            # A new Message-ID, or a mailbox that has seen the first would drop this one; and what it is a repeat of, so
            # that they are shown together.
            message["References"] = f"<{mail.first_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        drawn = [draw_qr(ticket["qr"]) for ticket in facts["tickets"][:MOST_PAGES]]
        pdf = self._print(mail, facts, drawn)
        facts["pages"] = 0 if pdf is None else len(drawn)
        message.set_content(self._templates.get_template(f"{mail.kind}.txt").render(facts))
        message.add_alternative(self._templates.get_template(f"{mail.kind}.html").render(facts), subtype="html")
        self._add_images(message, facts["tickets"], drawn)
        if pdf is not None:
            message.add_attachment(
                pdf, maintype="application", subtype="pdf", filename=f"tickets-{facts['reference']}.pdf"
            )
        if mail.kind == "tickets":
            self._add_calendar(message, mail)
        return message

    def _print(self, mail: Mail, facts: Mapping[str, Any], drawn: list[Drawn]) -> bytes | None:
        """The tickets' PDF. Codes and QRs are in the mail too, so it goes without a PDF before it does not go."""
        if not drawn:
            return None
        order = Printable(
            title=facts["title"],
            times=facts["times"],
            venue=facts["venue"],
            reference=facts["reference"],
            email=mail.email,
        )
        pages = [
            Page(ticket["code"], ticket["tier_name"], ticket["which"], picture.svg)
            for ticket, picture in zip(facts["tickets"], drawn, strict=False)
        ]
        try:
            return self._printer.print(order, pages, made_at=mail.created_at)
        except Exception:  # noqa: BLE001 - whatever the typesetter chokes on
            _log.exception("tickets cannot be printed", mail_id=str(mail.id), order_id=str(mail.order_id))
            return None

    def _add_images(self, message: EmailMessage, tickets: list[dict[str, Any]], drawn: list[Drawn]) -> None:
        html = message.get_payload(1)
        assert isinstance(html, EmailMessage)
        for ticket, picture in zip(tickets, drawn, strict=False):
            if ticket["cid"] is not None:
                html.add_related(
                    picture.png,
                    maintype="image",
                    subtype="png",
                    cid=f"<{ticket['cid']}>",
                    filename=f"{ticket['code']}.png",
                    disposition="inline",
                )

    def _add_calendar(self, message: EmailMessage, mail: Mail) -> None:
        event = mail.data["event"]
        entry = Entry(
            uid=f"{mail.order_id}.{event['id']}@{self._domain}",
            title=event["title"],
            venue=event["venue"],
            starts_at=datetime.fromisoformat(event["starts_at"]),
            ends_at=datetime.fromisoformat(event["ends_at"]),
            told_at=mail.created_at,
            text=f"Your tickets are in a mail to {mail.email}: order {mail.data['reference']}.",
        )
        # As octets, since this format has its own ends of lines, and its own longest line.
        message.add_attachment(
            calendar_file(entry),
            maintype="text",
            subtype="calendar",
            filename="event.ics",
            params={"method": "PUBLISH", "charset": "utf-8"},
        )

    def _facts_of(self, mail: Mail) -> dict[str, Any]:
        data = mail.data
        facts: dict[str, Any] = {
            "order_id": str(mail.order_id),
            "is_holder": bool(data.get("is_holder")),
            # The order is the buyer's. Who holds one of its tickets has no business there.
            "order_url": None if data.get("is_holder") else self._order_url(mail.order_id),
            "reference": data.get("reference"),
            "tickets": [],
        }
        if "event" in data:
            event = data["event"]
            facts["title"], facts["venue"] = event["title"], event["venue"]
            starts_at, ends_at = (
                datetime.fromisoformat(event[name]).astimezone(self._zone) for name in ("starts_at", "ends_at")
            )
            facts["times"] = told_times(starts_at, ends_at)
        if "tickets" in data:
            facts["tickets"] = [
                {
                    **ticket,
                    "which": which_of(ticket.get("place") or ticket["number"], data.get("places", 0)),
                    "cid": f"{mail.id}.{ticket['number']}@{self._domain}" if position < MOST_IMAGES else None,
                }
                for position, ticket in enumerate(data["tickets"])
            ]
        if "amount_kobo" in data:
            facts["amount"] = format_money(data["amount_kobo"], data["currency"])
            facts["reason"] = _REASONS[data["purpose"]]
            facts["payment_reference"] = data["payment_reference"]
            facts["which"] = format_numbers(data.get("numbers") or ())
            facts["organiser_says"] = data.get("organiser_says")
        return facts

    def _order_url(self, order_id: UUID) -> str | None:
        if self._storefront_url is None or self._tokens is None:
            return None
        return f"{self._storefront_url.rstrip('/')}/orders/{order_id}?token={self._tokens.make('order', order_id)}"
