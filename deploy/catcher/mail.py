"""Reads a raw message into what people and tests want to see. Pure, and it never fails: mail may be anything."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import default as default_policy
from typing import Final

_CID: Final = re.compile(r"""(["'(])cid:([^"')\s]+)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not the text: a file, or an image shown within the HTML."""

    name: str
    content_type: str
    content_id: str
    is_inline: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as one recipient got it. `received_at` is seconds since the epoch."""

    id: int
    to: str
    sender: str
    received_at: float
    raw: bytes
    subject: str
    text: str
    html: str
    message_id: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]


def read_mail(mail_id: int, *, to: str, sender: str, received_at: float, raw: bytes) -> Mail:
    """Parse a raw message; what cannot be read is left empty."""
    message = _parse(raw)
    return Mail(
        id=mail_id,
        to=to,
        sender=sender,
        received_at=received_at,
        raw=raw,
        subject=_header(message, "Subject"),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        message_id=_header(message, "Message-ID"),
        headers=tuple(_headers(message)),
        attachments=tuple(_describe(part) for part in _parts(message)),
    )


def attachment_content(mail: Mail, number: int) -> bytes:
    """Return the decoded bytes of an attachment, counted from 0. Raises IndexError."""
    return _content(list(_parts(_parse(mail.raw)))[number])


def html_with_images(mail: Mail) -> str:
    """Return the HTML with images that it names by ``cid:`` put in as data, so that it needs nothing else."""
    parts = {_content_id(part): part for part in _parts(_parse(mail.raw)) if _content_id(part)}

    def put_in(match: re.Match[str]) -> str:
        part = parts.get(match[2])
        if part is None or part.get_content_maintype() != "image":
            return match[0]
        return f"{match[1]}data:{part.get_content_type()};base64,{base64.b64encode(_content(part)).decode()}"

    return _CID.sub(put_in, mail.html)


def _parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default_policy)
    assert isinstance(message, EmailMessage)
    return message


def _header(message: EmailMessage, name: str) -> str:
    return next((value for key, value in _headers(message) if key.lower() == name.lower()), "")


def _headers(message: EmailMessage) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(message.keys()):
        try:
            values = [str(value) for value in message.get_all(name, [])]
        except (MessageError, ValueError, IndexError, LookupError, AttributeError, TypeError):
            # The standard parser has raised each of these on malformed headers.
            values = ["(unreadable)"]
        yield from ((name, value) for value in values)


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in message.walk():
        if not part.is_multipart() and isinstance(part, EmailMessage):
            yield part


def _is_text(part: EmailMessage) -> bool:
    named = part.get_content_disposition() == "attachment" or part.get_filename() is not None
    return part.get_content_type() in {"text/plain", "text/html"} and not named


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    return (part for part in _leaves(message) if not _is_text(part))


def _body(message: EmailMessage, subtype: str) -> str:
    for part in _leaves(message):
        if _is_text(part) and part.get_content_subtype() == subtype:
            charset = part.get_content_charset() or "utf-8"
            try:
                return _content(part).decode(charset, "replace").replace("\r\n", "\n")
            except LookupError:
                return _content(part).decode("utf-8", "replace").replace("\r\n", "\n")
    return ""


def _content(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _content_id(part: EmailMessage) -> str:
    return str(part.get("Content-ID", "")).strip().strip("<>")


def _describe(part: EmailMessage) -> Attachment:
    return Attachment(
        name=part.get_filename() or "",
        content_type=part.get_content_type(),
        content_id=_content_id(part),
        is_inline=part.get_content_disposition() == "inline" or bool(_content_id(part)),
        size_bytes=len(_content(part)),
    )
