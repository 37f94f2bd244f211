"""Answers that people read: a small page where the browser asks for HTML, a problem document for programs."""

import math
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


def answer(
    request: web.Request,
    *,
    status: int,
    code: str,
    title: str,
    text: str,
    retry_seconds: float | None = None,
    order_url: str | None = None,
) -> web.Response:
    """The page or the problem. With ``retry_seconds`` the page reloads itself, and both carry ``Retry-After``."""
    seconds = None if retry_seconds is None else max(1, math.ceil(retry_seconds))
    headers = HEADERS if seconds is None else {**HEADERS, "Retry-After": str(seconds)}
    if not wants_html(request):
        extra = {} if seconds is None else {"retry_after_seconds": seconds}
        return Problem(status, code, text, headers=headers, **extra).response()
    body = _PAGE.render(title=title, text=text, reload_seconds=seconds, order_url=order_url)
    return web.Response(status=status, text=body, content_type="text/html", headers=headers)
