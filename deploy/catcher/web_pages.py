"""The pages for people: a list, newest first, and one mail."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import jinja2
from aiohttp import web

from deploy.catcher.api import MAILBOX, find_mail, wanted_by
from deploy.catcher.mail import html_with_images

_PAGE_SIZE: Final = 100
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# A mail is shown as a mail program would: no scripts, nothing fetched; links open elsewhere.
_MAIL_HEADERS: Final = {
    **_HEADERS,
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
        "style-src 'unsafe-inline'; img-src data:"
    ),
}
_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=jinja2.StrictUndefined
)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.1f} KiB"


_TEMPLATES.filters.update(when=_when, size=_size)


def _html(template: str, **values: object) -> web.Response:
    text = _TEMPLATES.get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


async def home(request: web.Request) -> web.Response:
    """List mails, newest first, 100 a page; ``?to=`` filters and ``?before=`` goes on to older ones."""
    mails = request.app[MAILBOX].find(wanted_by(request))
    before = request.query.get("before", "")
    older = [mail for mail in reversed(mails) if not before.isdecimal() or mail.id < int(before)]
    return _html(
        "list.html",
        mails=older[:_PAGE_SIZE],
        count=len(mails),
        to=request.query.get("to", ""),
        before=older[_PAGE_SIZE - 1].id if len(older) > _PAGE_SIZE else None,
    )


async def show(request: web.Request) -> web.Response:
    """Show one mail with its text, its HTML and its attachments."""
    return _html("mail.html", mail=find_mail(request))


async def show_html(request: web.Request) -> web.Response:
    """Return the HTML of one mail for the frame, locked in."""
    base = '<base target="_blank">'
    return web.Response(
        text=base + html_with_images(find_mail(request)), content_type="text/html", headers=_MAIL_HEADERS
    )


def add_pages(app: web.Application) -> None:
    """Register the pages."""
    app.router.add_get("/", home)
    app.router.add_get(r"/mails/{id:\d{1,15}}", show)
    app.router.add_get(r"/mails/{id:\d{1,15}}/html", show_html)
