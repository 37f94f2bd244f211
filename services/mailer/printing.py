"""The tickets on paper: a PDF with a page for each, made by Typst, which knows every script's way of writing."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typst import Compiler

_TEMPLATE = Path(__file__).with_name("templates") / "tickets.typ"
_FONTS = Path(__file__).with_name("fonts")
#: Letters in a row after which a line may be broken. No language has such words; a hostile title has.
_LONG_WORD = 24
_NO_BREAK = re.compile(rf"(\S{{{_LONG_WORD}}})(?=\S)")


@dataclass(frozen=True, slots=True)
class Printable:
    """What the pages have in common. ``times`` names its zone."""

    title: str
    times: str
    venue: str
    reference: str
    email: str


@dataclass(frozen=True, slots=True)
class Page:
    """One ticket. ``which`` is its place, as in "2 of 4"; ``picture`` is its QR as SVG."""

    code: str
    tier_name: str
    which: str
    picture: str


def breakable(text: str) -> str:
    """The text with places to break in what would run off the page."""
    return _NO_BREAK.sub("\\1\u200b", text)


class Printer:
    """Makes PDFs, one at a time: the compiler has a cache, and memory, worth sharing. Thread-safe.

    Call it in a thread. It leaves the interpreter to others while it works. It is loaded with the first PDF, so that
    the start of the service does not wait for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._compiler: Compiler | None = None

    def print(self, order: Printable, pages: Sequence[Page], *, made_at: datetime) -> bytes:
        """A PDF of these pages, the same octets each time."""
        facts: Mapping[str, Any] = {
            "title": breakable(order.title),
            "times": order.times,
            "venue": breakable(order.venue),
            "reference": order.reference,
            "email": breakable(order.email),
            "tickets": [
                {
                    "code": page.code,
                    "tier_name": breakable(page.tier_name),
                    "which": page.which,
                    "picture": page.picture,
                }
                for page in pages
            ],
        }
        with self._lock:
            self._compiler = self._compiler or _load()
            document = self._compiler.compile(
                format="pdf", sys_inputs={"order": json.dumps(facts)}, timestamp=int(made_at.timestamp())
            )
        assert isinstance(document, bytes)
        return document


def _load() -> "Compiler":
    from typst import Compiler, Fonts  # noqa: PLC0415 - tens of megabytes that only mails with tickets need

    fonts = Fonts(include_system_fonts=True, include_embedded_fonts=False, font_paths=[_FONTS])
    return Compiler(_TEMPLATE, root=_TEMPLATE.parent, font_paths=fonts)
