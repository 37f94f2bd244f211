"""Turns a stored mail into what is sent: text, HTML, and each ticket's QR as an image within it."""

from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.mailer.domain import Kind
from services.mailer.settings import MailerSettings
from services.mailer.store import Mail
from shared.http.tokens import Tokens
from shared.runtime.settings import parse_keys

#: Images in one mail; further tickets are listed with their codes. A mail stays under a megabyte.
MOST_IMAGES = 100
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


def one_line(text: str, most: int = _SUBJECT_CHARACTERS) -> str:
    """Text for a header: one line of printable characters, so that nobody writes headers of their own into it."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def qr_png(text: str) -> bytes:
    """The QR as a PNG with its quiet zone, 6 pixels a module."""
    picture = BytesIO()
    segno.make(text, error="m", micro=False, boost_error=False).save(picture, kind="png", scale=6, border=4)
    return picture.getvalue()


class Renderer:
    """Renders mails. Thread-safe."""

    def __init__(self, settings: MailerSettings) -> None:
        self._sender = settings.sender
        self._domain = parseaddr(settings.sender)[1].rpartition("@")[2]
        self._storefront_url = settings.storefront_url
        self._tokens = Tokens(parse_keys(settings.token_keys)) if settings.token_keys is not None else None
        self._zone = ZoneInfo(settings.timezone)
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
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._templates.get_template(f"{mail.kind}.txt").render(facts))
        message.add_alternative(self._templates.get_template(f"{mail.kind}.html").render(facts), subtype="html")
        self._add_images(message, facts["tickets"])
        return message

    def _add_images(self, message: EmailMessage, tickets: list[dict[str, Any]]) -> None:
        html = message.get_payload(1)
        assert isinstance(html, EmailMessage)
        for ticket in tickets:
            if ticket["cid"] is not None:
                html.add_related(
                    qr_png(ticket["qr"]),
                    maintype="image",
                    subtype="png",
                    cid=f"<{ticket['cid']}>",
                    filename=f"{ticket['code']}.png",
                    disposition="inline",
                )

    def _facts_of(self, mail: Mail) -> dict[str, Any]:
        data = mail.data
        facts: dict[str, Any] = {
            "order_id": str(mail.order_id),
            "order_url": self._order_url(mail.order_id),
            "reference": data.get("reference"),
            "tickets": [],
        }
        if "event" in data:
            event = data["event"]
            facts["title"], facts["venue"] = event["title"], event["venue"]
            facts["starts_at"] = self._local_time(event["starts_at"])
            facts["ends_at"] = self._local_time(event["ends_at"])
        if "tickets" in data:
            facts["tickets"] = [
                {**ticket, "cid": f"{mail.id}.{ticket['number']}@{self._domain}" if position < MOST_IMAGES else None}
                for position, ticket in enumerate(data["tickets"])
            ]
        if "amount_kobo" in data:
            facts["amount"] = format_money(data["amount_kobo"], data["currency"])
            facts["reason"] = _REASONS[data["purpose"]]
            facts["payment_reference"] = data["payment_reference"]
        return facts

    def _local_time(self, text: str) -> str:
        moment = datetime.fromisoformat(text).astimezone(self._zone)
        return f"{moment:%A}, {moment.day} {moment:%B %Y, %H:%M} ({self._zone.key})"

    def _order_url(self, order_id: UUID) -> str | None:
        if self._storefront_url is None or self._tokens is None:
            return None
        return f"{self._storefront_url.rstrip('/')}/orders/{order_id}?token={self._tokens.make('order', order_id)}"
