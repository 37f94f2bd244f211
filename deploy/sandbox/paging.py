"""Filters and pages of the list calls, with both forms of ``meta``. Pure."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from deploy.sandbox.refusals import Refusal, bad_value


class Listed(Protocol):
    """What every listed record has."""

    @property
    def id(self) -> int:
        """Return the id; larger means newer."""

    @property
    def created_at(self) -> float:
        """Return seconds since the epoch."""


R = TypeVar("R", bound=Listed)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    per_page: int
    page: int
    created_from: float | None
    created_to: float | None
    cursor: bool
    older_than: int | None
    newer_than: int | None


def read_page(query: Mapping[str, str], default_meta: str = "offset") -> Page | Refusal:
    """Read paging and time filters from a query string; ``perPage`` is the wire name, ``per_page`` the spec's."""
    per_page = _read_count(query.get("perPage", query.get("per_page", "50")), 1_000)
    page = _read_count(query.get("page", "1"), 10**9)
    if per_page is None or page is None:
        return bad_value("perPage must be from 1 to 1000 and page at least 1")
    try:
        start, end = (read_time(query[name]) if query.get(name) else None for name in ("from", "to"))
    except ValueError:
        return bad_value("from and to must be times such as 2016-09-24T00:00:05.000Z or 2016-09-21")
    asked = query.get("use_cursor", "").lower() == "true"
    try:
        older, newer = (_read_cursor(query.get(name)) for name in ("next", "previous"))
    except ValueError:
        return bad_value("Invalid cursor")
    return Page(per_page, page, start, end, asked or default_meta == "cursor", older, newer)


def read_time(text: str) -> float:
    """Read an ISO time or date as seconds since the epoch; without an offset it is UTC. Raises ValueError."""
    # A plus in a query string that was not escaped arrives as a space.
    moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def select_page(
    newest_first: Iterable[R], page: Page, keep: Callable[[R], bool], volume: Callable[[R], int]
) -> tuple[Sequence[R], dict[str, Any]]:
    """Return one page and its meta. ``from`` and ``to`` are inclusive and look at the time of creation."""
    matching = [
        record
        for record in newest_first
        if (page.created_from is None or record.created_at >= page.created_from)
        and (page.created_to is None or record.created_at <= page.created_to)
        and keep(record)
    ]
    if page.cursor:
        return _by_cursor(matching, page)
    start = (page.page - 1) * page.per_page
    rows = matching[start : start + page.per_page]
    meta = {
        "total": len(matching),
        "total_volume": sum(volume(record) for record in matching),
        "skipped": start,
        "perPage": page.per_page,
        "page": page.page,
        "pageCount": -(-len(matching) // page.per_page),
    }
    return rows, meta


def _by_cursor(matching: Sequence[R], page: Page) -> tuple[Sequence[R], dict[str, Any]]:
    start = (page.page - 1) * page.per_page
    if page.older_than is not None:
        start = sum(record.id >= page.older_than for record in matching)
    elif page.newer_than is not None:
        start = max(0, sum(record.id > page.newer_than for record in matching) - page.per_page)
    rows = matching[start : start + page.per_page]
    more = start + page.per_page < len(matching)
    meta = {
        "next": _write_cursor(rows[-1].id) if rows and more else None,
        "previous": _write_cursor(rows[0].id) if rows and start > 0 else None,
        "perPage": page.per_page,
    }
    return rows, meta


def _write_cursor(record_id: int) -> str:
    return base64.urlsafe_b64encode(f"id:{record_id}".encode()).decode()


def _read_cursor(text: str | None) -> int | None:
    if text is None or text in {"", "null"}:
        return None
    try:
        name, _, number = base64.urlsafe_b64decode(text).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a cursor") from error
    if name != "id" or not number.isdecimal():
        raise ValueError("not a cursor")
    return int(number)


def _read_count(text: str, most: int) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 12 and 1 <= int(text) <= most else None
