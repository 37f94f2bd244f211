"""What the gateway's routes take and give, for its OpenAPI document."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from services.gateway.domain import KEY_PATTERN
from services.gateway.models import Catalogue, CheckoutAnswer, CheckoutBody, EventAnswer, OrderView, PendingAnswer
from shared.contracts.base import TicketNumber
from shared.http.routes import HTML, SAMPLE_ID, Operation, Parameter, Scheme, gives, redirects, refuses, shows

_ORDER_ID = "1f0c2f3e-5b7a-8c4d-9e1f-2a3b4c5d6e7f"
_TOKEN = "k1.mXw0Zr3"  # noqa: S105 - an example
_KEY = "6f2a1e0c9b8d47a3a5f1c2d3e4b5a697"
_EVENT: dict[str, Any] = {
    "id": "018f3f5e-6a10-7c55-8f3e-2b9d4c6e8a01",
    "title": "Night of the Long Drums",
    "starts_at": "2031-05-01T19:00:00Z",
    "ends_at": "2031-05-01T23:00:00Z",
    "venue": "Freedom Park, Lagos",
}
_TIER: dict[str, Any] = {
    "id": SAMPLE_ID,
    "name": "Regular",
    "price_kobo": 500_000,
    "currency": "NGN",
    "capacity": 200,
    "available": 120,
    "held": 30,
    "sold": 50,
    "max_per_order": 10,
    "sale_starts_at": None,
    "sale_ends_at": "2031-05-01T19:00:00Z",
    "version": 7,
}
_LISTED: dict[str, Any] = {**_EVENT, "currency": "NGN", "tiers": [_TIER]}
_LINES = [{"tier_id": SAMPLE_ID, "tier_name": "Regular", "quantity": 2, "price_kobo": 500_000}]
_PAYABLE: dict[str, Any] = {
    "order_id": _ORDER_ID,
    "status": "pending",
    "total_kobo": 1_000_000,
    "currency": "NGN",
    "lines": _LINES,
    "payment_url": f"https://pay.example/pay/{_ORDER_ID}?token=k1.Qm9",
    "expires_at": "2027-01-01T12:15:00Z",
}
_ORDER: dict[str, Any] = {
    **_PAYABLE,
    "version": 2,
    "reference": "VK9HHU",
    "reason": None,
    "tier_id": None,
    "event": _EVENT,
    "created_at": "2027-01-01T12:00:00Z",
    "paid_at": None,
    "tickets": [],
    "refunds": [],
    "server_time": "2027-01-01T12:00:01Z",
}
_CANCELLED = {**_ORDER, "version": 3, "status": "cancelled", "payment_url": None}

ORDER_TOKEN = Scheme("order_token", {"type": "http", "scheme": "bearer", "description": "The order's own token."})
ORDER_TOKEN_IN_LINK = Scheme(
    "order_token_in_link",
    {"type": "apiKey", "in": "query", "name": "token", "description": "The same, where no header can be sent."},
)
_OF_THE_ORDER = (ORDER_TOKEN, ORDER_TOKEN_IN_LINK)
_PREFER = Parameter(
    "Prefer",
    "header",
    "RFC 7240: wait=N seconds for the outcome (at most 30), or respond-async to be answered at once.",
    str,
    "wait=5",
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Names the order: the same key is the same order, through any replica and after any restart. A secret of the "
    "client; make it from random bits. Without one the server makes one and returns it.",
    Annotated[str, StringConstraints(min_length=16, max_length=64, pattern=KEY_PATTERN)],
    _KEY,
)
_FOLLOW = {"Location": "Where to follow the order."}
_KEY_IN_USE = {"Idempotency-Key": "The key in use."}
_BEARER = {"WWW-Authenticate": "The scheme: Bearer."}
_NO_TOKEN = refuses(401, "The order's token is missing or wrong.", "unauthorized", headers=_BEARER)
_NO_ORDER = refuses(404, "The path names no order.", "not_found")
_MAYBE = {"tier_id": SAMPLE_ID, "order_id": _ORDER_ID}

LIST_EVENTS = Operation(
    "All events with their tiers",
    (gives(200, Catalogue, "The events.", example={"events": [_LISTED], "stale": False}),),
    text="Figures are for display: only a checkout says whether places are left.",
    tag="For buyers",
)
GET_EVENT = Operation(
    "One event",
    (
        gives(200, EventAnswer, "The event.", example={**_LISTED, "stale": False}),
        refuses(404, "No such event.", "not_found"),
    ),
    tag="For buyers",
)
CHECK_OUT = Operation(
    "Order places",
    (
        gives(
            201,
            CheckoutAnswer,
            "The outcome: the places are held until expires_at.",
            example={**_PAYABLE, "order_token": _TOKEN},
            headers=_FOLLOW | _KEY_IN_USE,
        ),
        gives(
            202,
            PendingAnswer,
            "Accepted and durable; the outcome is not known yet.",
            example={"order_id": _ORDER_ID, "order_token": _TOKEN, "status": "pending"},
            headers=_FOLLOW | _KEY_IN_USE,
        ),
        refuses(
            409, "The places cannot be had; tier_id names the tier.", "sold_out", "not_on_sale", "over_limit",
            headers=_KEY_IN_USE, members=_MAYBE,
        ),
        refuses(
            422, "There is no such tier, or the tiers are of several events.", "unknown_tier", "several_events",
            members=_MAYBE,
        ),
        refuses(422, "Another order was placed under this key.", "idempotency_key_reused"),
        refuses(
            503,
            "Unknown whether it was accepted. Send the same request under the same key again: it is the same order.",
            "unavailable",
            headers={"Retry-After": "Seconds after which to try again."} | _KEY_IN_USE,
            members={"idempotency_key": _KEY},
        ),
    ),
    text="What is accepted is durable: it is never lost, and a repeat under the same key is the same order.",
    body=CheckoutBody,
    parameters=(_IDEMPOTENCY_KEY, _PREFER),
    needs_engines=False,
    tag="For buyers",
    name="checkOut",
)  # fmt: skip
GET_ORDER = Operation(
    "The order as it is now",
    (gives(200, OrderView, "The order.", example=_ORDER), _NO_TOKEN, _NO_ORDER),
    schemes=_OF_THE_ORDER,
    tag="For buyers",
)
CANCEL_ORDER = Operation(
    "Cancel an order that is not paid",
    (
        gives(200, OrderView, "The order has ended without payment.", example=_CANCELLED),
        gives(202, OrderView, "Accepted and durable; the outcome is not known yet.", example=_ORDER, headers=_FOLLOW),
        _NO_TOKEN,
        _NO_ORDER,
        refuses(409, "The order is paid.", "already_paid", members={"order_id": _ORDER_ID}),
    ),
    parameters=(_PREFER,),
    schemes=_OF_THE_ORDER,
    tag="For buyers",
    name="cancelOrder",
)
FOLLOW_ORDER = Operation(
    "Follow an order",
    (
        shows(
            200,
            "The order now, then each change. The stream stays open.",
            "text/event-stream",
            example='id: 2\nevent: order\ndata: {"order_id": "..."}\n\n',
        ),
        _NO_TOKEN,
        _NO_ORDER,
    ),
    text="Server-sent events of the name `order`, whose data is what `GET /v1/orders/{order_id}` answers.",
    schemes=_OF_THE_ORDER,
    tag="For buyers",
    name="followOrder",
)
GET_QR = Operation(
    "A ticket's QR code",
    (
        shows(200, "The code.", "image/svg+xml", example="<svg/>"),
        _NO_TOKEN,
        refuses(404, "No such ticket, or a revoked one.", "not_found"),
    ),
    parameters=(Parameter("number", "path", "The ticket's number within its order.", TicketNumber, 1),),
    schemes=_OF_THE_ORDER,
    tag="For buyers",
    name="getTicketQr",
)

_PAGE_OF_ORDER = (shows(401, "The link has no token, or another order's."), shows(404, "No such order."))
_AWAY = shows(503, "It cannot be shown at the moment.", headers={"Retry-After": "Seconds after which to try again."})
_PAGES = "Pages"

HOME = Operation("The shop", (shows(200, "Choose and buy."), _AWAY), needs_engines=False, tag=_PAGES)
BUY = Operation(
    "Buy without scripts",
    (
        redirects(303, "To the order's page."),
        refuses(400, "The form is not in the charset it names.", "malformed_form"),
        shows(409, "The form again, with the reason: the places cannot be had."),
        refuses(413, "The form is too large.", "body_too_large"),
        refuses(415, "No form.", "unsupported_media_type"),
        shows(422, "The form again, with the reason: nothing was chosen, or there is no such address or tier."),
        shows(503, "The form again, with its key: sending it again is the same order."),
    ),
    text="Fields: `email`, `key`, and `quantity-TIER` for each tier.",
    body=dict[str, str],
    body_type="application/x-www-form-urlencoded",
    body_example={"email": "ada@example.com", f"quantity-{SAMPLE_ID}": "2"},
    needs_engines=False,
    tag=_PAGES,
)
ORDER_PAGE = Operation(
    "An order's page",
    (shows(200, "The page."), *_PAGE_OF_ORDER, _AWAY),
    parameters=(Parameter("part", "query", "`state` gives only what changes, for the script.", str, "state"),),
    schemes=(ORDER_TOKEN_IN_LINK,),
    needs_engines=False,
    tag=_PAGES,
)
CANCEL_WITHOUT_SCRIPTS = Operation(
    "Cancel without scripts",
    (redirects(303, "To the order's page, which says whether it was possible."), *_PAGE_OF_ORDER, _AWAY),
    schemes=(ORDER_TOKEN_IN_LINK,),
    needs_engines=False,
    tag=_PAGES,
)
STATIC = Operation(
    "Style, scripts and the icon",
    (
        shows(200, "The file.", "text/css"),
        shows(200, "The file.", "text/javascript"),
        shows(200, "The file.", "image/svg+xml"),
        refuses(404, "No such file.", "not_found"),
    ),
    parameters=(Parameter("name", "path", "The file.", str, "boxoffice.css"),),
    needs_engines=False,
    tag=_PAGES,
)
ICON = Operation(
    "The icon browsers ask for unasked",
    (shows(200, "The icon.", "image/svg+xml"),),
    needs_engines=False,
    tag=_PAGES,
)
NOTHING = Operation(
    "Any other address",
    (refuses(404, "There is nothing here.", "not_found"), shows(404, "There is nothing here.", HTML)),
    parameters=(Parameter("page", "path", "What was mistyped.", Annotated[str, Field(min_length=1)], "chekout"),),
    needs_engines=False,
    tag=_PAGES,
)
