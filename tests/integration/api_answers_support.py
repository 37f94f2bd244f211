"""What is asked of every service, so that each gives every answer that its document names."""

import gzip
import io
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import aiohttp
import orjson
from yarl import URL

from boxoffice.api_documents import build
from deploy.demo.shop import Answer
from deploy.local.databases import Templates
from deploy.local.ports import choose_free_ports
from shared.contracts.registry import SERVICES, ServiceName
from shared.http.tokens import Tokens
from shared.messaging.topology import durable_consumers
from shared.runtime.ids import new_id
from tests.answers import Answers, operations
from tests.harness import move_clock
from tests.integration.bad_input_support import signed
from tests.system import SECRETS, System
from tests.waiting import until

#: The card whose refunds fail.
REFUND_FAILS = "4084080000671803"
TOKENS = {
    "organiser": SECRETS.organiser_token,
    "operator": SECRETS.operator_token,
    "gate": SECRETS.gate_token,
    "supervisor": SECRETS.supervisor_token,
    "service": SECRETS.service_token,
    "visitor": "visitor-0123456789abcdef",
}
#: Every service knows a role that may nothing.
ADMIN_TOKENS = f"{SECRETS.admin_tokens},visitor:{TOKENS['visitor']}"
TOKENS_IN_LINKS = Tokens({"k1": SECRETS.token_keys.partition(":")[2].encode()})
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HTML = {"Accept": "text/html"}

#: A port on which nothing listens.
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Client:
    """Asks services by their names, as programs and browsers do."""

    session: aiohttp.ClientSession
    urls: Mapping[str, str]

    async def ask(
        self,
        service: str,
        request: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        status: int | None = None,
    ) -> Answer:
        """One request, as in ``POST /v1/checkout``. A body that is not octets is sent as JSON."""
        method, _, path = request.partition(" ")
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body, sent = orjson.dumps(body), {**JSON, **sent}
        url = URL(f"{self.urls[service]}{path}", encoded=True)
        async with self.session.request(
            method,
            url,
            data=None if body is None else io.BytesIO(body),
            headers=sent,
            allow_redirects=False,
            skip_auto_headers=["Content-Type"],
        ) as answer:
            octets = await answer.read()
            found = orjson.loads(octets) if "json" in answer.content_type else {"text": octets}
            assert status in {None, answer.status}, f"{service} {request}: {answer.status} {found}"
            return Answer(answer.status, found, answer.headers)


def path_of(name: str, operation: Mapping[str, Any], **values: str) -> str:
    """An operation as a request; parameters that it needs are taken from ``values``, or else from their examples."""
    needed = {one["name"]: one for one in operation.get("parameters", ()) if one["required"]}
    given = {one: values.get(one, str(said["example"])) for one, said in needed.items()}
    for one, value in given.items():
        name = name.replace(f"{{{one}}}", value)
    query = urlencode({one: value for one, value in given.items() if needed[one]["in"] == "query"})
    return f"{name}?{query}" if query else name


def headers_of(operation: Mapping[str, Any]) -> dict[str, str]:
    """The headers an operation needs, as in its examples."""
    parameters = operation.get("parameters", ())
    return {one["name"]: str(one["example"]) for one in parameters if one["in"] == "header" and one["required"]}


def body_of(operation: Mapping[str, Any]) -> Any:
    """The example of a JSON body, if an operation takes one."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else content["example"]


async def as_nobody_should(client: Client, answers: Answers) -> None:
    """What follows from a declaration, of every operation: tokens, bodies, ids of nothing."""
    for service, document in answers.documents.items():
        for name, operation in operations(document):
            roles = {role for one in operation.get("security", ()) for role in one.get("role_token", ())}
            if roles:
                await _as_somebody_else(client, service, name, operation, roles)
            if body_of(operation) is not None:
                token = TOKENS[min(roles)] if roles else None
                await _with_a_bad_body(client, service, path_of(name, operation), headers_of(operation), token)


async def _as_somebody_else(
    client: Client, service: str, name: str, operation: Mapping[str, Any], roles: Collection[str]
) -> None:
    request, body, headers = path_of(name, operation), body_of(operation), headers_of(operation)
    await client.ask(service, request, body=body, headers=headers, status=401)
    await client.ask(service, request, body=body, headers=headers, token="x" * 24, status=401)
    for role in ("organiser", "operator", "gate", "supervisor", "visitor"):
        answer = await client.ask(service, request, body=body, headers=headers, token=TOKENS[role])
        assert (answer.status not in {401, 403}) == (role in roles), f"{service} {name} for {role}"
    if "_id}" in name:
        nothing = path_of(name, operation, **{one["name"]: "1" for one in operation["parameters"]})
        await client.ask(service, nothing, body=body, headers=headers, token=TOKENS[min(roles)], status=404)


async def _with_a_bad_body(
    client: Client, service: str, request: str, headers: Mapping[str, str], token: str | None
) -> None:
    for status, body, more in (
        (400, b"{", JSON),
        (413, b" " * 2_000_000, JSON),
        (415, b"{}", {"Content-Type": "text/plain"}),
        (415, gzip.compress(b"{}"), {**JSON, "Content-Encoding": "gzip"}),
        (422, b"[]", JSON),
    ):
        await client.ask(service, request, body=body, headers={**headers, **more}, token=token, status=status)


async def look_at_every_service(client: Client) -> None:
    """Health, figures, documents and their pages."""
    for service in SERVICES:
        for path in ("/healthz", "/metrics", "/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css"):
            await client.ask(service, f"GET {path}", status=200)
        await client.ask(service, "GET /docs/nothing.js", status=404)
        await until_ready(client, service)


async def until_ready(client: Client, service: ServiceName) -> None:
    async def is_ready() -> bool:
        return (await client.ask(service, "GET /readyz")).status == 200

    await until(is_ready, 30, f"{service} is ready")


async def organise(client: Client, tier: str, event: str) -> None:
    """An organiser's calls, besides those that made the event and the tier."""
    ours = SECRETS.organiser_token
    await client.ask("inventory", "GET /v1/events", status=200)
    await client.ask("inventory", f"GET /v1/events/{event}", status=200)
    await client.ask("inventory", f"GET /v1/events/{uuid4()}", status=404)
    await client.ask("inventory", f"PATCH /v1/admin/tiers/{tier}", token=ours, body={"name": "VIP"}, status=200)


async def browse_and_buy(whole: System, client: Client, tier: str, event: str) -> tuple[Answer, Answer]:
    """A buyer's calls; returns a paid order and one that was cancelled."""
    gateway, item = "gateway", {"tier_id": tier, "quantity": 1}
    body = {"items": [item], "email": "ada@example.com"}
    await client.ask(gateway, "GET /v1/events", status=200)
    await client.ask(gateway, f"GET /v1/events/{event}", status=200)
    await client.ask(gateway, f"GET /v1/events/{uuid4()}", status=404)

    async def check_out(status: int, code: str = "", *, wait: str = "wait=20", **changes: Any) -> Answer:
        headers = {"Idempotency-Key": uuid4().hex, "Prefer": wait, **changes.pop("headers", {})}
        answer = await client.ask(
            gateway, "POST /v1/checkout", body={**body, **changes}, headers=headers, status=status
        )
        assert answer.body.get("code", "") == code
        return answer

    key = {"Idempotency-Key": uuid4().hex}
    paid = await check_out(201, headers=key)
    await check_out(422, "idempotency_key_reused", headers=key, email="bola@example.com")
    await check_out(422, "invalid", headers={"Idempotency-Key": "short"})
    await check_out(422, "unknown_tier", items=[{**item, "tier_id": str(uuid4())}])
    other, over = str(await whole.tier(3)), str(await whole.tier(3, sale_ends_at="2020-01-01T00:00:00Z"))
    await check_out(422, "several_events", items=[item, {**item, "tier_id": other}])
    await check_out(409, "sold_out", items=[{"tier_id": other, "quantity": 4}])
    await check_out(409, "over_limit", items=[{**item, "quantity": 11}])
    await check_out(409, "not_on_sale", items=[{**item, "tier_id": over}])
    at_once = {"Prefer": "respond-async"}

    async def is_answered_first() -> bool:
        # The outcome can be quicker than the broker's confirm; then it is told.
        answer = await client.ask(gateway, "POST /v1/checkout", body=body, headers=at_once)
        assert answer.status in {201, 202}
        return answer.status == 202

    await until(is_answered_first, 20, "a checkout is accepted before its outcome is known")
    cancelled = await check_out(201)
    of_it = f"/v1/orders/{cancelled.order_id}"
    await client.ask(gateway, f"GET {of_it}", status=401)
    await client.ask(gateway, f"DELETE {of_it}", status=401)
    await client.ask(gateway, f"GET {of_it}/stream", status=401)
    for request in ("GET /v1/orders/1", "DELETE /v1/orders/1", "GET /v1/orders/1/stream"):
        await client.ask(gateway, request, token=cancelled.token, status=404)
    await client.ask(gateway, f"GET {of_it}?token={cancelled.token}", status=200)
    # Orders never hears of this one, so that nothing can be told of it.
    unknown = uuid4()
    token = TOKENS_IN_LINKS.make("order", unknown)
    await client.ask(gateway, f"DELETE /v1/orders/{unknown}", token=token, headers=at_once, status=202)
    await client.ask(gateway, f"DELETE {of_it}", token=cancelled.token, headers={"Prefer": "wait=20"}, status=200)

    await whole.shop.pay(paid)
    await whole.shop.until(paid.order_id, paid.token, {"paid"}, 20, tickets=True)
    await client.ask(gateway, f"DELETE /v1/orders/{paid.order_id}", token=paid.token, status=409)
    of_ticket = f"/v1/orders/{paid.order_id}/tickets"
    await client.ask(gateway, f"GET {of_ticket}/1/qr.svg", token=paid.token, status=200)
    await client.ask(gateway, f"GET {of_ticket}/1/qr.svg", status=401)
    await client.ask(gateway, f"GET {of_ticket}/9/qr.svg", token=paid.token, status=404)
    await follow(client, paid)
    return paid, cancelled


async def follow(client: Client, order: Answer) -> None:
    """One stream is open, which is all this gateway allows; the next is refused."""
    url = f"{client.urls['gateway']}/v1/orders/{order.order_id}/stream?token={order.token}"
    async with client.session.get(url) as stream:
        assert stream.content_type == "text/event-stream"
        while b"event: order" not in await stream.content.readline():
            pass
        path = f"GET /v1/orders/{order.order_id}/stream"
        answer = await client.ask("gateway", path, token=order.token, status=503)
        assert answer.body["code"] == "unavailable"


async def use_the_pages(client: Client, tier: str, paid: Answer) -> None:
    """What a browser asks the gateway, with and without scripts."""
    form = f"email=ada%40example.com&key={uuid4().hex}&quantity-{tier}="
    await client.ask("gateway", "GET /", headers=HTML, status=200)
    await client.ask("gateway", "POST /", headers=FORM, body=f"{form}1".encode(), status=303)
    await client.ask("gateway", "POST /", headers=FORM, body=f"{form}0".encode(), status=422)
    await client.ask("gateway", "POST /", headers=FORM, body=f"{form}11".replace("key=", "key=9").encode(), status=409)
    await client.ask("gateway", "POST /", headers=FORM, body=b"a=" + b"x" * 70_000, status=413)
    await client.ask("gateway", "POST /", headers={"Content-Type": "text/plain"}, body=b"a", status=415)
    strange = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    await client.ask("gateway", "POST /", headers=strange, body=b"a=b", status=400)
    page = f"/orders/{paid.order_id}"
    await client.ask("gateway", f"GET {page}?token={paid.token}", status=200)
    await client.ask("gateway", f"GET {page}", status=401)
    await client.ask("gateway", "GET /orders/1", status=404)
    await client.ask("gateway", f"POST {page}/cancel?token={paid.token}", status=303)
    await client.ask("gateway", f"POST {page}/cancel", status=401)
    await client.ask("gateway", "POST /orders/1/cancel", status=404)
    for name in ("boxoffice.css", "home.js", "icon.svg"):
        await client.ask("gateway", f"GET /static/{name}", status=200)
    await client.ask("gateway", "GET /static/nothing.css", status=404)
    await client.ask("gateway", "GET /favicon.ico", status=200)
    await client.ask("gateway", "GET /chekout", status=404)
    await client.ask("gateway", "GET /chekout", headers=HTML, status=404)


def link(order_id: UUID) -> str:
    """The request of an order's link to pay."""
    return f"GET /pay/{order_id}?token={TOKENS_IN_LINKS.make('pay', order_id)}"


async def pay(whole: System, client: Client, tier: str, paid: Answer, cancelled: Answer) -> None:
    """Links to pay in every state, the way back, webhooks."""
    payments, program = "payments", {"Accept": "application/json"}
    open_order = await whole.shop.checkout((tier, 1))
    page = await client.ask(payments, link(open_order.order_id), headers=program, status=200)
    await client.ask(payments, link(open_order.order_id), headers=HTML, status=303)
    await client.ask(payments, f"GET /pay/{paid.order_id}", headers=program, status=403)
    await client.ask(payments, f"GET /pay/{paid.order_id}", headers=HTML, status=403)
    free = await whole.shop.checkout((await whole.tier(5, price_kobo=0), 1))
    await whole.shop.until(free.order_id, free.token, {"paid"}, 20, tickets=True)
    unknown = new_id()
    for order_id, code, status in (
        (paid.order_id, "already_paid", 410),
        (cancelled.order_id, "order_over", 410),
        (free.order_id, "nothing_to_pay", 410),
        (unknown, "not_known_yet", 503),
    ):
        answer = await client.ask(payments, link(order_id), headers=program, status=status)
        assert answer.body["code"] == code
    await client.ask(payments, link(cancelled.order_id), headers=HTML, status=410)
    await client.ask(payments, link(unknown), headers=HTML, status=503)
    await client.ask(payments, f"GET /payments/callback?reference={page.body['reference']}", status=303)
    await client.ask(payments, "GET /payments/callback?reference=nothing", status=404)
    await client.ask(payments, "GET /payments/callback?reference=nothing", headers=HTML, status=404)
    await client.ask(payments, "POST /webhooks/paystack", body=b"{}", headers=JSON, status=401)
    await client.ask(payments, "POST /webhooks/paystack", body=b"{}", headers=signed(b"{}"), status=200)
    await client.ask(payments, "POST /webhooks/paystack", body=b" " * 1_100_000, headers=signed(b""), status=413)


async def be_refused(whole: System, client: Client, tier: str) -> None:
    """Paystack does not take an order, is away, or has no time; and an order comes to it too late."""
    sandbox, program = f"{whole.url('sandbox')}/sandbox/faults", {"Accept": "application/json"}
    odd = await whole.shop.checkout((tier, 1), email="ada@nowhere")
    for headers in (program, HTML):
        await client.ask("payments", link(odd.order_id), headers=headers, status=502)
    late, waiting, last = [(await whole.shop.checkout((tier, 1))).order_id for _ in range(3)]

    async def is_late() -> bool:
        soon = "UPDATE payments SET expires_at = app_now() + interval '30 s' WHERE order_id = $1 RETURNING true"
        return bool(await whole.value("payments", soon, late))

    async def told(order_id: UUID, code: str, status: int = 503) -> None:
        async def is_told() -> bool:
            answer = await client.ask("payments", link(order_id), headers=program)
            return (answer.status, answer.body.get("code")) == (status, code)

        await until(is_told, 20, f"{status} {code}")

    await until(is_late, 20, "payments knows the order")
    await told(late, "too_late", 410)
    await whole.shop.request("POST", sandbox, json={"down": True})
    await told(waiting, "provider_away")
    await whole.shop.request("POST", sandbox, json={"down": False, "rate_limit_per_minute": 1})
    await client.ask("payments", link(waiting), headers=program)
    await told(last, "over_budget")
    await whole.shop.request("DELETE", sandbox)


async def look_up(whole: System, client: Client, tier: str, event: str, paid: Answer, cancelled: Answer) -> None:
    """What operators and organisers ask, with a refund at the end."""
    code = (await whole.shop.order(paid.order_id, paid.token))["tickets"][0]["code"]
    ours, of_paid = SECRETS.operator_token, f"/v1/admin/orders/{paid.order_id}"
    await client.ask("inventory", f"PATCH /v1/admin/tiers/{tier}", token=ours, body={"capacity": 0}, status=409)
    await client.ask("payments", f"GET /v1/admin/payments/{paid.order_id}", token=ours, status=200)
    await client.ask("payments", "GET /v1/admin/cases", token=ours, status=200)
    await client.ask("ticketing", "GET /v1/keys", status=200)
    for service in durable_consumers():
        await client.ask(service, f"GET {of_paid}/timeline", token=ours, status=200)
    await client.ask("ticketing", f"GET {of_paid}/tickets", token=ours, status=200)
    await client.ask("orders", f"GET {of_paid}", token=ours, status=200)
    await client.ask("orders", f"GET /v1/orders/{paid.order_id}", token=ours, status=200)
    await client.ask("orders", "GET /v1/admin/orders?email=ada@example.com", token=ours, status=200)
    await client.ask("orders", "GET /v1/admin/orders", token=ours, status=422)
    await client.ask("orders", f"POST /v1/admin/orders/{cancelled.order_id}/cancel", token=ours, status=200)
    await client.ask("orders", f"POST {of_paid}/cancel", token=ours, status=409)
    await client.ask("orders", f"POST /v1/admin/orders/{cancelled.order_id}/refund", token=ours, status=409)
    await client.ask("orders", f"POST {of_paid}/refund", token=ours, body={"why": "Called off."}, status=202)
    await whole.shop.until(paid.order_id, paid.token, {"refunded"}, 30)
    body = {"admission_id": str(uuid4()), "event_id": event, "ticket": code, "gate": "north", "who": "Ada"}
    body["at"] = datetime.now(UTC).isoformat()
    path = "POST /v1/gate/checkins"
    answer = await client.ask("ticketing", path, token=SECRETS.gate_token, body=body, status=409)
    assert answer.body["code"] == "revoked"
    for service, request in (
        ("payments", f"GET /v1/admin/payments/{paid.order_id}"),
        ("ticketing", f"GET {of_paid}/tickets"),
        ("orders", f"GET {of_paid}"),
    ):
        await client.ask(service, request, token=ours, status=200)


async def open_the_gates(whole: System, client: Client) -> None:
    """A guest comes too early, comes in, comes again; a device fetches its pack and sends what it wrote down."""
    gate, supervisor = SECRETS.gate_token, SECRETS.supervisor_token
    free = await whole.tier(5, price_kobo=0)
    event = str(await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", free))
    order = await whole.shop.checkout((free, 2))
    view = await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    code, qr, other = view["tickets"][0]["code"], view["tickets"][0]["qr"], view["tickets"][1]["code"]
    first, second = str(uuid4()), str(uuid4())
    showing = {"event_id": event, "gate": "north", "who": "Ada", "at": datetime.now(UTC).isoformat()}

    async def show(status: int, word: str, *, admission: str = first, ticket: str = code, **more: Any) -> None:
        body = {**showing, "admission_id": admission, "ticket": ticket, **more}
        answer = await client.ask("ticketing", "POST /v1/gate/checkins", token=gate, body=body, status=status)
        assert answer.body.get("code" if status > 200 else "outcome") == word

    await show(409, "not_valid_yet", admission=str(uuid4()))
    of_event, choose = f"/v1/gate/events/{event}", {"opens_at": "2026-01-01T00:00:00Z"}
    ours = SECRETS.organiser_token
    await client.ask("ticketing", f"PUT /v1/admin/events/{event}/gate", token=ours, body=choose, status=200)
    await show(409, "other_event", admission=str(uuid4()), event_id=str(uuid4()))
    await show(200, "admitted", ticket=qr)
    await show(409, "already_admitted", admission=second)
    await show(409, "admission_id_reused", ticket=other)
    await show(404, "unknown_ticket", admission=str(uuid4()), ticket=code[:-1] + ("0" if code[-1] != "0" else "1"))
    await show(422, "not_a_ticket", admission=str(uuid4()), ticket="hello")
    undo = {"gate": "north", "who": "Sue", "why": "wrong person"}
    for admission, status in ((first, 200), (str(uuid4()), 404)):
        path = f"POST /v1/gate/checkins/{admission}/undo"
        await client.ask("ticketing", path, token=supervisor, body=undo, status=status)
    await show(409, "undone")
    wrote = {"admission_id": second, "event_id": event, "code": code, "gate": "south", "who": "Ben"}
    sync = {"admissions": [{**wrote, "admission_id": str(uuid4()), "admitted_at": showing["at"]} for _ in range(2)]}
    await client.ask("ticketing", "POST /v1/gate/sync", token=gate, body=sync, status=200)
    await client.ask("ticketing", f"GET {of_event}/conflicts", token=gate, status=200)
    await client.ask("ticketing", f"GET {of_event}/history?code={code}", token=supervisor, status=200)
    await client.ask("ticketing", f"GET {of_event}/history?code=%00", token=supervisor, status=422)
    await client.ask("ticketing", f"GET {of_event}/pack?since=x", token=gate, status=422)

    async def is_newest() -> bool:
        """Until nothing more is published between the two."""
        answer = await client.ask("ticketing", f"GET {of_event}/pack", token=gate)
        tag = {"If-None-Match": answer.headers.get("ETag", "none")}
        return (await client.ask("ticketing", f"GET {of_event}/pack", token=gate, headers=tag)).status == 304

    await until(is_newest, 30, "the device has the newest pack")


async def mend(whole: System, client: Client, tier: str) -> None:
    """What needs a person: a mail that was refused, a refund that failed, money of a reference of nobody's."""
    ours = SECRETS.operator_token
    refusal = {"address": "refused@example.com", "code": 550}
    await whole.shop.request("POST", f"{whole.url('catcher')}/refusals", json=refusal)
    order = await whole.shop.checkout((tier, 1), email="refused@example.com", prefer="wait=20")
    await whole.shop.pay(order, card=REFUND_FAILS)
    await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    await whole.send_again(order.order_id, to="ada@example.com")
    await client.ask("mailer", f"GET /v1/admin/mails?order_id={order.order_id}", token=ours, status=200)
    await client.ask("mailer", "GET /v1/admin/mails?status=failed", token=ours, status=200)
    await client.ask("mailer", "GET /v1/admin/mails", token=ours, status=422)
    await client.ask("orders", f"POST /v1/admin/orders/{order.order_id}/refund", token=ours, status=202)
    await whole.shop.settle("bx-of-nobody", create=True)

    async def case_to_close() -> str:
        cases = (await client.ask("payments", "GET /v1/admin/cases", token=ours, status=200)).body["cases"]
        failed = any(case["kind"] == "refund_failed" for case in cases)
        return next((case["case_id"] for case in cases if case["kind"] == "unknown_reference" and failed), "")

    case_id = await until(case_to_close, 30, "both cases are open")
    why = {"reason": "It was nobody's."}
    for status in (200, 404):
        await client.ask("payments", f"POST /v1/admin/cases/{case_id}/close", token=ours, body=why, status=status)
    await client.ask("payments", "GET /v1/admin/ledger", token=ours, status=200)


async def issue_again(whole: System, client: Client) -> None:
    """A ticket for another holder, asked for twice; and when it cannot be."""
    order = await whole.shop.checkout((await whole.tier(5, price_kobo=0), 2))
    await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    key = uuid4().hex

    async def again(status: int, code: str = "", *, number: int = 1, key: str = key, email: str = "bola@b.ng") -> None:
        path = f"POST /v1/admin/orders/{order.order_id}/tickets/{number}/reissue"
        body, headers = {"email": email, "why": "sold on"}, {"Idempotency-Key": key}
        answer = await client.ask(
            "ticketing", path, token=SECRETS.operator_token, body=body, headers=headers, status=status
        )
        assert status < 400 or answer.body["code"] == code

    await again(201)
    await again(200)
    await again(422, "key_reused", email="chi@c.ng")
    await again(409, "already_reissued", key=uuid4().hex)
    await again(404, "not_found", number=9)
    await client.ask(
        "ticketing", f"GET /v1/admin/orders/{order.order_id}/tickets", token=SECRETS.operator_token, status=200
    )
    await client.ask(
        "orders", f"POST /v1/admin/orders/{order.order_id}/refund", token=SECRETS.operator_token, status=202
    )
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 30)
    await again(409, "revoked", number=2, key=uuid4().hex)


async def give_back(whole: System, client: Client) -> None:
    """Single places of an order, in every way that is refused; then its whole event is cancelled."""
    ours, tier = SECRETS.operator_token, await whole.tier(10, price_kobo=0)
    event = str(await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", tier))
    order = await whole.shop.checkout((tier, 3))
    await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    key = uuid4().hex

    async def refund(status: int, code: str = "", *, key: str | None = None, **body: Any) -> None:
        path = f"POST /v1/admin/orders/{order.order_id}/refund"
        headers = {"Idempotency-Key": key or uuid4().hex}
        answer = await client.ask("orders", path, token=ours, body=body, headers=headers, status=status)
        assert status < 400 or answer.body["code"] == code

    async def is_given_back() -> bool:
        path = f"GET /v1/admin/orders/{order.order_id}"
        return bool((await client.ask("orders", path, token=ours, status=200)).body["status"] == "paid")

    await refund(422, "unknown_number", numbers=[9])
    await refund(409, "not_enough_places", tier_id=str(tier), quantity=4)
    await refund(202, key=key, numbers=[1])
    await refund(422, "key_reused", key=key, numbers=[2])
    await until(is_given_back, 30, "one place is given back")
    await refund(409, "already_refunded", numbers=[1])
    cancel = f"POST /v1/admin/events/{event}/cancel"
    await client.ask("inventory", cancel, token=ours, body={"why": "No power."}, status=200)

    async def is_cancelled() -> bool:
        path = f"GET /v1/admin/events/{event}/cancellation"
        return (await client.ask("orders", path, token=ours)).status == 200

    await until(is_cancelled, 30, "orders knows that the event is cancelled")
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 30)


async def dispute(whole: System) -> None:
    """A buyer's bank wants the money of a paid order back; its tickets are blocked meanwhile."""
    order = await whole.shop.checkout((await whole.tier(1), 1), prefer="wait=10")
    reference = await whole.shop.pay(order)
    await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    opened = await whole.shop.request("POST", f"{whole.url('sandbox')}/sandbox/disputes", json={"reference": reference})
    assert opened.status == 200, opened.body


async def let_time_pass(whole: System, templates: Templates) -> None:
    """Twenty minutes on every clock: what nobody paid expires."""
    for url in whole.wiring.database_urls.values():
        await move_clock(templates.admin(url), 1200)


@asynccontextmanager
async def without_engines(answers: Answers) -> AsyncIterator[Client]:
    """All services up, and no engine, no other service and no Paystack behind any of them."""
    ports = dict(zip(SERVICES, choose_free_ports(len(SERVICES)), strict=True))
    async with AsyncExitStack() as stack:
        for service, port in ports.items():
            more: dict[str, Any] = {}
            if service == "gateway":
                more = {"confirm_seconds": 0.1, "orders_url": NOWHERE, "inventory_url": NOWHERE}
            built = build(service, SECRETS, http_port=port, **more)
            answers.watch(service, built.http)
            await built.start()
            stack.push_async_callback(built.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Client(session, {service: f"http://127.0.0.1:{port}" for service, port in ports.items()})


async def in_vain(client: Client, answers: Answers) -> None:
    """Whatever needs an engine says that it is away, and whether to come back."""
    order_id = uuid4()
    order = TOKENS_IN_LINKS.make("order", order_id)
    special = {
        "GET /pay/{order_id}": link(order_id),
        "GET /v1/admin/mails": "GET /v1/admin/mails?status=failed",
        "GET /v1/admin/orders": "GET /v1/admin/orders?email=ada@example.com",
        "GET /payments/callback": "GET /payments/callback?reference=x",
    }
    for service, document in answers.documents.items():
        for name, operation in operations(document):
            if "503" not in operation["responses"]:
                continue
            schemes = {scheme for one in operation.get("security", ()) for scheme in one}
            role = next((one["role_token"][0] for one in operation.get("security", ()) if "role_token" in one), None)
            request = special.get(name, path_of(name, operation, order_id=str(order_id), number="1"))
            token = TOKENS[role] if role else None
            if "order_token_in_link" in schemes:
                request += f"?token={order}"
            body: Any = body_of(operation)
            headers = headers_of(operation)
            if name == "POST /webhooks/paystack":
                body, headers = b"{}", signed(b"{}")
            if name == "POST /" and service == "gateway":
                body, headers = f"email=a%40b.example&quantity-{uuid4()}=1".encode(), FORM
            if name.endswith("/stream"):
                continue  # A stream opens and tells later; a full house is another test's.
            await client.ask(service, request, token=token, body=body, headers=headers, status=503)
