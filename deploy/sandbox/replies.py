"""From a request to JSON and back: bodies, envelopes, and the wrapper around every call of the API."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from deploy.sandbox import traffic
from deploy.sandbox.bank import Bank
from deploy.sandbox.refusals import INVALID_KEY, RATE_LIMITED, Refusal, bad_value
from deploy.sandbox.traffic import Traffic

BANK: Final = web.AppKey("bank", Bank)
TRAFFIC: Final = web.AppKey("traffic", Traffic)
MAX_BODY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API, read and checked as far as every call is."""

    bank: Bank
    faults: traffic.Faults
    match: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ok:
    """A call that was answered."""

    message: str
    data: Any = None
    meta: dict[str, Any] | None = None
    http_status: int = 200


Handler = Callable[[Call], Awaitable[Ok | Refusal]]


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with compact JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


async def read_body(request: web.Request) -> dict[str, Any] | Refusal:
    """Read a JSON or form body as an object; no body is an empty one. Raises 413 above 1 MiB."""
    raw = await request.read()
    if not raw.strip():
        return {}
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=200))
        except ValueError:
            return bad_value("The form in the body cannot be read")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return bad_value(f"The body is not valid JSON: {error}")
    return body if isinstance(body, dict) else bad_value("The body must be a JSON object")


def api(endpoint: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap a call of the API: count it, plant faults, check the key and the limit, render the answer.

    Latency comes after the call took effect, as on a slow way back: what it did can be seen before its answer is.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        state = request.app[TRAFFIC]
        state.calls.arrived(endpoint, traffic.now())
        concerned = state.faults.concern(endpoint)
        # Unless endpoints are named, only calls that change something are cut off: reading back must work.
        cut_off = concerned and (request.method != "GET" or bool(state.faults.endpoints))
        if cut_off and state.faults.take("timeout_before_charge"):
            return await _never_answer(request, state, endpoint)
        response = (_planted(state) if concerned else None) or await _handle(request, state, endpoint, handler)
        if cut_off and response.status < 300 and state.faults.take("timeout_after_charge"):
            return await _never_answer(request, state, endpoint)
        if concerned and state.faults.latency_seconds > 0:
            await state.hold(state.faults.latency_seconds)
        state.calls.answered(endpoint, response.status)
        return response

    return answer


def _planted(state: Traffic) -> web.Response | None:
    if state.faults.down:
        return _broken(503, "Service Temporarily Unavailable")
    if state.faults.take("fail_next"):
        return _broken(502, "Bad Gateway")
    return None


def _broken(status: int, title: str) -> web.Response:
    # Paystack stands behind a proxy whose own errors are pages, not JSON.
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return web.Response(text=page, status=status, content_type="text/html")


async def _never_answer(request: web.Request, state: Traffic, endpoint: str) -> web.Response:
    await state.hold()
    state.calls.answered(endpoint, None)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _handle(request: web.Request, state: Traffic, endpoint: str, handler: Handler) -> web.Response:
    bank = request.app[BANK]
    if not _has_key(request, bank):
        return json_response(INVALID_KEY.envelope(), 401)
    allowance = state.limiter.ask(endpoint, traffic.now())
    headers = allowance.headers() if allowance is not None else None
    if allowance is not None and not allowance.allowed:
        return json_response(RATE_LIMITED.envelope(), 429, headers)
    body = await read_body(request) if request.can_read_body else {}
    if isinstance(body, Refusal):
        return json_response(body.envelope(), body.http_status, headers)
    result = await handler(Call(bank, state.faults, request.match_info, request.query, body))
    if isinstance(result, Refusal):
        return json_response(result.envelope(), result.http_status, headers)
    answer: dict[str, Any] = {"status": True, "message": result.message}
    if result.data is not None:
        answer["data"] = result.data
    if result.meta is not None:
        answer["meta"] = result.meta
    return json_response(answer, result.http_status, headers)


def _has_key(request: web.Request, bank: Bank) -> bool:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    expected = bank.secret_key.encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(key.strip().encode(errors="replace"), expected)
