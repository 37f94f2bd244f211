"""The OpenAPI document, made from the models that read and write the bodies."""

from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from services.gateway.models import (
    Catalogue,
    CheckoutAnswer,
    CheckoutBody,
    EventAnswer,
    OrderView,
    PendingAnswer,
    ProblemDocument,
)

_MODELS = (Catalogue, CheckoutAnswer, EventAnswer, OrderView, PendingAnswer, ProblemDocument)
_ID = "1f0c2f3e-5b7a-8c4d-9e1f-2a3b4c5d6e7f"


def _json(name: str, description: str, *, problem: bool = False, example: Any = None, **headers: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if example is not None:
        content["example"] = example
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/problem+json" if problem else "application/json": content},
    }
    if headers:
        answer["headers"] = {
            header.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for header, text in headers.items()
        }
    return answer


def _problem(description: str, **headers: str) -> dict[str, Any]:
    return _json("ProblemDocument", description, problem=True, **headers)


def _header(name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


_PREFER = _header(
    "Prefer",
    "RFC 7240: wait=N seconds for the outcome (at most 30), or respond-async to be answered at once.",
    "wait=5",
)
_KEY = _header(
    "Idempotency-Key",
    "Names the order: the same key is the same order, through any replica and after any restart. A secret of the "
    "client; make it from random bits. Without one the server makes one and returns it.",
    "6f2a1e0c9b8d47a3a5f1c2d3e4b5a697",
    minLength=16,
    maxLength=64,
    pattern="^[A-Za-z0-9_.:~+/=-]{16,64}$",
)
_ORDER_PARAMETERS = [
    _path("order_id"),
    {
        "name": "token",
        "in": "query",
        "required": False,
        "description": "The order's token, where no Authorization header can be sent.",
        "schema": {"type": "string"},
    },
]
_EXPIRES = "2027-01-01T12:15:00Z"
_LINE = {
    "tier_id": "018f3f5e-7c1a-7b7e-9d2f-1f6a5b0c9d10",
    "tier_name": "Regular",
    "quantity": 2,
    "price_kobo": 500000,
}
_OUTCOME = {
    "order_id": _ID,
    "order_token": "k1.mXw0Zr3",
    "status": "pending",
    "total_kobo": 1000000,
    "currency": "NGN",
    "lines": [_LINE],
    "payment_url": f"https://pay.example/pay/{_ID}?token=k1.Qm9",
    "expires_at": _EXPIRES,
}
_TOKEN: list[dict[str, list[str]]] = [{"order_token": []}]
_RETRY = "Seconds after which to try again."


def _paths() -> dict[str, Any]:
    no_token = _problem("The order's token is missing or wrong.")
    no_order = _problem("The path names no order.")
    away = _problem("Cannot be answered at the moment.", Retry_After=_RETRY)
    return {
        "/v1/events": {
            "get": {
                "operationId": "listEvents",
                "summary": "All events with their tiers; figures are for display",
                "responses": {"200": _json("Catalogue", "The events."), "503": away},
            }
        },
        "/v1/events/{event_id}": {
            "get": {
                "operationId": "getEvent",
                "summary": "One event",
                "parameters": [_path("event_id")],
                "responses": {
                    "200": _json("EventAnswer", "The event."),
                    "404": _problem("No such event."),
                    "503": away,
                },
            }
        },
        "/v1/checkout": {
            "post": {
                "operationId": "checkOut",
                "summary": "Order places",
                "parameters": [_KEY, _PREFER],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CheckoutBody"}}},
                },
                "responses": {
                    "201": _json(
                        "CheckoutAnswer",
                        "The outcome: the places are held until expires_at.",
                        example=_OUTCOME,
                        Location="Where to follow the order.",
                        Idempotency_Key="The key in use.",
                    ),
                    "202": _json(
                        "PendingAnswer",
                        "Accepted and durable; the outcome is not known yet.",
                        example={"order_id": _ID, "order_token": "k1.mXw0Zr3", "status": "pending"},
                        Location="Where to follow the order.",
                        Preference_Applied="Which preference was honoured.",
                        Idempotency_Key="The key in use.",
                    ),
                    "400": _problem("The body is not JSON."),
                    "409": _problem("sold_out, not_on_sale or over_limit; tier_id names the tier."),
                    "413": _problem("The body is larger than 16 KiB."),
                    "415": _problem("The body is not application/json."),
                    "422": _problem("invalid, unknown_tier, several_events or idempotency_key_reused."),
                    "503": _problem(
                        "Unknown whether it was accepted. Send the same request under the same key again: it is the "
                        "same order.",
                        Retry_After=_RETRY,
                        Idempotency_Key="The key to send again; it is in the body too.",
                    ),
                },
            }
        },
        "/v1/orders/{order_id}": {
            "get": {
                "operationId": "getOrder",
                "summary": "The order as it is now",
                "security": _TOKEN,
                "parameters": _ORDER_PARAMETERS,
                "responses": {
                    "200": _json("OrderView", "The order."),
                    "401": no_token,
                    "404": no_order,
                    "503": away,
                },
            },
            "delete": {
                "operationId": "cancelOrder",
                "summary": "Cancel an order that is not paid",
                "security": _TOKEN,
                "parameters": [*_ORDER_PARAMETERS, _PREFER],
                "responses": {
                    "200": _json("OrderView", "The order has ended without payment."),
                    "202": _json("OrderView", "Accepted and durable; the outcome is not known yet."),
                    "401": no_token,
                    "404": no_order,
                    "409": _problem("already_paid."),
                    "503": away,
                },
            },
        },
        "/v1/orders/{order_id}/stream": {
            "get": {
                "operationId": "followOrder",
                "summary": "Server-sent events: the order now, then each change (event: order, data: OrderView)",
                "security": _TOKEN,
                "parameters": _ORDER_PARAMETERS,
                "responses": {
                    "200": {
                        "description": "The stream; it stays open.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    "401": no_token,
                    "404": no_order,
                    "503": away,
                },
            }
        },
        "/v1/orders/{order_id}/tickets/{number}/qr.svg": {
            "get": {
                "operationId": "getTicketQr",
                "summary": "A ticket's QR code",
                "security": _TOKEN,
                "parameters": [
                    *_ORDER_PARAMETERS,
                    {"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}},
                ],
                "responses": {
                    "200": {"description": "The code.", "content": {"image/svg+xml": {"schema": {"type": "string"}}}},
                    "401": no_token,
                    "404": _problem("No such ticket."),
                    "503": away,
                },
            }
        },
    }


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, written = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    _, read = models_json_schema([(CheckoutBody, "validation")], ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Boxoffice",
            "version": "1",
            "description": "Choose, order, pay for and follow tickets. Money is an integer in kobo (1/100 naira). "
            "Errors are RFC 9457 problem documents.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {**written["$defs"], **read["$defs"]},
            "securitySchemes": {"order_token": {"type": "http", "scheme": "bearer"}},
        },
    }


DOCUMENT = orjson.dumps(document())
