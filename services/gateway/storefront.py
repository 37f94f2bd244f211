"""The pages for people. They work without scripts; scripts only make them livelier."""

import asyncio
import hashlib
import io
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import segno
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError

from services.gateway.domain import KeyReused, Known, Rejected, Unanswered, read_key
from services.gateway.http import PRIVATE, Api, key_reused, new_key, rejection
from services.gateway.models import CheckoutBody, OrderView
from services.gateway.operations import (
    BUY,
    CANCEL_WITHOUT_SCRIPTS,
    GET_QR,
    HOME,
    ICON,
    NOTHING,
    ORDER_PAGE,
    STATIC,
)
from services.gateway.views import Links
from services.gateway.words import (
    MESSAGES,
    PURPOSES,
    REFUND_STATES,
    mail_problem,
    money,
    state_of,
    ticket_list,
    tier_state,
    venue_time,
)
from shared.http.problems import Problem
from shared.http.requests import invalid
from shared.http.routes import Route, route

_FOLDER = Path(__file__).with_name("pages")
_FILES = {"boxoffice.css": "text/css", "home.js": "text/javascript", "order.js": "text/javascript"}
_ICON = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect x="2" y="7" width="28" height="18" rx="4" fill="#1f4fd8"/>
<path d="M12 7v18" stroke="#fff" stroke-width="2" stroke-dasharray="3 2"/></svg>"""
#: Seconds a form without scripts waits for its outcome; the order's page follows up.
FORM_WAIT_SECONDS = 3.0

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Headers on every answer. Addresses carry tokens, so no other site may learn where a visitor came from."""
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Content-Security-Policy", _CSP)


class Storefront:
    """Home, order, what belongs to them. ``zone`` is where events take place."""

    def __init__(self, api: Api, links: Links, zone: ZoneInfo) -> None:
        self._api = api
        self._links = links
        self._static = {name: ((_FOLDER / name).read_bytes(), kind) for name, kind in _FILES.items()}
        self._static["icon.svg"] = (_ICON, "image/svg+xml")
        self._pages = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        digest = hashlib.sha256(b"".join(body for body, _ in self._static.values())).hexdigest()
        self._pages.globals.update(version=digest[:12], words=MESSAGES, purposes=PURPOSES, refund_states=REFUND_STATES)
        self._pages.filters.update(
            money=money,
            mail_problem=mail_problem,
            ticket_list=ticket_list,
            venue_time=partial(venue_time, zone=zone),
        )

    def routes(self) -> list[Route]:
        """Method and path of each."""
        return [
            route("GET", "/", self.get_home, HOME),
            route("POST", "/", self.post_home, BUY),
            route("GET", "/orders/{order_id}", self.get_order_page, ORDER_PAGE),
            route("POST", "/orders/{order_id}/cancel", self.post_cancel, CANCEL_WITHOUT_SCRIPTS),
            route("GET", "/v1/orders/{order_id}/tickets/{number}/qr.svg", self.get_qr, GET_QR),
            route("GET", "/static/{name}", self.get_static, STATIC),
            route("GET", "/favicon.ico", self.get_icon, ICON),
            route("GET", "/{page}", self.get_nothing, NOTHING),
        ]

    async def get_home(self, _: web.Request) -> web.Response:
        """Choose and buy."""
        return await self._home()

    async def post_home(self, request: web.Request) -> web.Response:
        """Buy without scripts: to the order's page, or back to the form with a reason and what was entered."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise Problem(415, "unsupported_media_type", "send a form")
        try:
            form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        except (LookupError, UnicodeDecodeError) as error:
            raise Problem(400, "malformed_form", "the form is not in the charset it names") from error
        key = form.get("key", "")
        try:
            order_id = await self._buy(form, request.headers.get("traceparent"))
        except Problem as problem:
            # A key is only kept where sending the same again is meant to be the same order.
            kept = key if problem.status == 503 else None
            return await self._home(problem=problem, form=form, key=kept)
        raise web.HTTPSeeOther(self._links.page_path(order_id))

    async def get_order_page(self, request: web.Request) -> web.Response:
        """Follow an order. ``part=state`` gives only what changes, for the script."""
        try:
            order_id = self._api.allowed_order(request)
            order = await self._api.read_order(order_id)
        except Problem as problem:
            return self._message(problem)
        return self._order_page(order, only_state=request.query.get("part") == "state")

    async def post_cancel(self, request: web.Request) -> web.Response:
        """Cancel without scripts."""
        try:
            order_id = self._api.allowed_order(request)
            await self._api.cancel(
                order_id, wait_seconds=FORM_WAIT_SECONDS, traceparent=request.headers.get("traceparent")
            )
        except Problem as problem:
            if problem.status != 409:
                return self._message(problem)
        raise web.HTTPSeeOther(self._links.page_path(order_id))

    async def get_qr(self, request: web.Request) -> web.Response:
        """A valid ticket's QR code."""
        order = await self._api.read_order(self._api.allowed_order(request))
        for ticket in order.tickets:
            if str(ticket.number) == request.match_info["number"] and not ticket.revoked:
                # Drawing takes milliseconds of pure Python, too long for the thread that takes checkouts.
                svg = await asyncio.to_thread(draw_qr, ticket.qr)
                return web.Response(body=svg, content_type="image/svg+xml", headers=PRIVATE)
        raise Problem(404, "not_found", "no such ticket")

    async def get_static(self, request: web.Request) -> web.Response:
        """Style and scripts; their address changes with their content."""
        name = request.match_info["name"]
        if name not in self._static:
            raise Problem(404, "not_found", "no such file")
        body, kind = self._static[name]
        return web.Response(
            body=body,
            content_type=kind,
            charset="utf-8",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    async def get_icon(self, _: web.Request) -> web.Response:
        """The icon browsers ask for unasked, beside documents that name none."""
        return web.Response(body=_ICON, content_type="image/svg+xml", headers={"Cache-Control": "public, max-age=3600"})

    async def get_nothing(self, request: web.Request) -> web.Response:
        """An address that was mistyped: a page for people, the problem document for programs."""
        problem = Problem(404, "not_found", f"{request.method} {request.path}: Not Found")
        if "text/html" not in request.headers.get("Accept", ""):
            raise problem
        return self._message(problem)

    async def _buy(self, form: dict[str, str], traceparent: str | None) -> UUID:
        try:
            key = read_key(form.get("key")) or new_key()
        except ValueError:
            key = new_key()
        outcome, order_id = await self._api.check_out(
            read_form(form), key, wait_seconds=FORM_WAIT_SECONDS, is_repeatable=True, traceparent=traceparent
        )
        match outcome:
            case KeyReused():
                raise key_reused()
            case Rejected():
                raise rejection(outcome, order_id)
            case Known() | Unanswered():
                return order_id

    async def _home(
        self, *, problem: Problem | None = None, form: dict[str, str] | None = None, key: str | None = None
    ) -> web.Response:
        now = datetime.now(UTC)
        try:
            catalogue = await self._api.read_catalogue()
        except Problem as away:
            return self._message(away)
        events = sorted((event for event in catalogue.events if event.ends_at > now), key=lambda one: one.starts_at)
        return self._html(
            "home.html",
            status=200 if problem is None else problem.status,
            events=events,
            stale=catalogue.stale,
            states={tier.id: tier_state(tier, now) for event in events for tier in event.tiers},
            message=None if problem is None else words_for(problem),
            form=form or {},
            # One key for each event's form: pressing Buy twice is one order.
            keys={
                event.id: key if form and form.get("event") == str(event.id) and key else new_key() for event in events
            },
        )

    def _order_page(self, order: OrderView, *, only_state: bool) -> web.Response:
        return self._html(
            "order_state.html" if only_state else "order.html",
            order=order,
            state=state_of(order),
            payable=order.payment_url is not None and state_of(order).kind == "act",
            cancellable=order.status == "pending",
            token=self._links.order_token(order.order_id),
            settled=order.status in {"rejected", "expired", "cancelled", "refunded"},
        )

    def _message(self, problem: Problem) -> web.Response:
        return self._html("message.html", status=problem.status, headers=problem.headers, problem=problem)

    def _html(
        self, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
    ) -> web.Response:
        return web.Response(
            status=status,
            text=self._pages.get_template(template).render(**values),
            content_type="text/html",
            charset="utf-8",
            headers={**PRIVATE, **(headers or {})},
        )


def read_form(form: dict[str, str]) -> CheckoutBody:
    """What a form asks for. Raises Problem: 422 with the code of the sentence to show."""
    items = [
        {"tier_id": name.removeprefix("quantity-"), "quantity": int(value) if value.isdecimal() else value}
        for name, value in form.items()
        if name.startswith("quantity-") and value.strip() not in {"", "0"} and len(value) < 10
    ]
    if not items:
        raise Problem(422, "nothing_chosen", "no ticket was chosen")
    try:
        return CheckoutBody.model_validate({"items": items, "email": form.get("email", "").strip()})
    except ValidationError as error:
        if all(one["loc"][0] == "email" for one in error.errors(include_url=False)):
            raise Problem(422, "email", "no e-mail address") from error
        raise invalid(error) from error


def words_for(problem: Problem) -> str:
    """The sentence a person reads."""
    return MESSAGES.get(problem.code, problem.detail)


@lru_cache(maxsize=512)
def draw_qr(text: str) -> bytes:
    """An SVG image of a QR code, with a quiet zone and a white ground, so that it scans in any theme."""
    image = io.BytesIO()
    segno.make_qr(text, error="m").save(image, kind="svg", scale=4, border=4, light="#fff", dark="#000")
    return image.getvalue()
