"""Answers that people read: a small page where the browser asks for HTML, a problem document for programs."""

import math
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from aiohttp import web
from jinja2 import Environment

from shared.http.problems import Problem

#: Links here carry tokens, which must not reach another site in a Referer.
HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}

_PAGE = Environment(autoescape=True).from_string(
    (resources.files("services.payments") / "pages" / "page.html").read_text(encoding="utf-8")
)


def wants_html(request: web.Request) -> bool:
    """Whether a browser asks."""
    return "text/html" in request.headers.get("Accept", "")


def wants_json(request: web.Request) -> bool:
    """Whether a program asks for JSON in place of a redirect."""
    return "application/json" in request.headers.get("Accept", "") and not wants_html(request)


@dataclass(frozen=True, slots=True)
class Queue:
    """What a buyer in the queue is told, in words for the page and in figures for programs."""

    place: int
    wait_seconds: int
    wait: str
    held: str
    is_too_long: bool
    expires_at: str


def queue_of(*, place: int, wait_seconds: float, time_left_seconds: float, expires_at: datetime) -> Queue:
    """Place, wait and time left. The wait is an estimate, so it is rounded up and says "about"."""
    return Queue(
        place=place,
        wait_seconds=max(1, math.ceil(wait_seconds)),
        wait=_about(wait_seconds),
        held=_whole_minutes(time_left_seconds),
        is_too_long=wait_seconds >= time_left_seconds,
        expires_at=expires_at.isoformat(),
    )


def _about(seconds: float) -> str:
    if seconds <= 10:
        return "a few seconds"
    if seconds <= 90:
        return f"{10 * math.ceil(seconds / 10)} seconds"
    return f"{math.ceil(seconds / 60)} minutes"


def _whole_minutes(seconds: float) -> str:
    minutes = int(max(seconds, 0) // 60)
    if minutes == 0:
        return "less than a minute"
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def answer(
    request: web.Request,
    *,
    status: int,
    code: str,
    title: str,
    text: str,
    retry_seconds: float | None = None,
    order_url: str | None = None,
    queue: Queue | None = None,
) -> web.Response:
    """The page or the problem. With ``retry_seconds`` the page reloads itself, and both carry ``Retry-After``."""
    seconds = None if retry_seconds is None else max(1, math.ceil(retry_seconds))
    headers = HEADERS if seconds is None else {**HEADERS, "Retry-After": str(seconds)}
    if not wants_html(request):
        extra: dict[str, object] = {} if seconds is None else {"retry_after_seconds": seconds}
        if queue is not None:
            extra |= {"place": queue.place, "wait_seconds": queue.wait_seconds, "expires_at": queue.expires_at}
        return Problem(status, code, text, headers=headers, **extra).response()
    body = _PAGE.render(title=title, text=text, reload_seconds=seconds, order_url=order_url, queue=queue)
    return web.Response(status=status, text=body, content_type="text/html", headers=headers)
