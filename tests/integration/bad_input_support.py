"""What nobody should send, the answer each thing gets, and a way to see that nothing changed."""

import asyncio
import gzip
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha512
from typing import Any
from uuid import UUID, uuid4

import orjson

from deploy.local.plan import PAYSTACK_SECRET_KEY
from shared.contracts.registry import ServiceName
from tests.system import SECRETS, System
from tests.waiting import until

#: Every row that a buyer, an organiser or Paystack's money could care about.
TABLES: Mapping[ServiceName, tuple[str, ...]] = {
    "orders": ("orders", "early_messages"),
    "inventory": ("events", "tiers", "holds"),
    "payments": ("payments", "attempts", "charges", "refunds"),
    "reaper": ("deadlines",),
    "ticketing": ("orders", "tickets", "revocations", "checkins", "admissions", "undos"),
    "mailer": ("mails",),
}
#: Columns that loops move by themselves while nothing happens.
RESTLESS = ["ask_at", "asks", "ask_count", "verify_at", "verify_count", "next_at", "reminded", "tries"]
NOTHING = "018f3f5e-7c1a-7b7e-9d2f-1f6a5b0c9d10"
JSON = {"Content-Type": "application/json"}


async def all_rows(whole: System) -> dict[str, frozenset[str]]:
    """Every row of every table as text."""
    found = {}
    for service, tables in TABLES.items():
        for table in tables:
            statement = f"SELECT (to_jsonb(one) - $1::text[])::text AS text FROM {table} AS one"
            found[f"{service}.{table}"] = frozenset(
                row["text"] for row in await whole.rows(service, statement, RESTLESS)
            )
    return found


async def at_rest(whole: System) -> None:
    """Wait until every message has had its effect and every mail is sent."""
    await whole.quiet()

    async def is_mailed() -> bool:
        return not await whole.value("mailer", "SELECT count(*) FROM mails WHERE status = 'waiting'")

    await until(is_mailed, 15, "every mail is sent")


async def a_good_order_goes_through(whole: System, tier: UUID | str) -> None:
    email = f"{uuid4().hex}@example.com"
    order = await whole.shop.checkout((tier, 1), email=email)
    assert order.status == 201, dict(order.body)
    await whole.shop.pay(order)
    view = await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
    (mail,) = await whole.mailed(email)
    assert view["tickets"][0]["code"] in mail["text"]
    await at_rest(whole)


@dataclass(frozen=True)
class Bad:
    """One bad request and its answer. ``{order}`` and such in the path are filled in by the test."""

    what: str
    service: str
    request: str
    status: int
    code: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed(body: bytes, *, key: str = PAYSTACK_SECRET_KEY) -> dict[str, str]:
    """The headers under which Paystack would send a webhook."""
    return {**JSON, "X-Paystack-Signature": hmac.new(key.encode(), body, sha512).hexdigest()}


def checkouts(tier: str, other_events_tier: str) -> list[Bad]:
    """Bodies and headers that are no checkout. Each would be one but for what is named."""
    item = {"tier_id": tier, "quantity": 1}
    good: dict[str, Any] = {"items": [item], "email": "ada@example.com"}

    def quantity(text: bytes) -> bytes:
        return b'{"items":[{"tier_id":"%s","quantity":%s}],"email":"a@example.com"}' % (tier.encode(), text)

    def email(text: str) -> bytes:
        return orjson.dumps({**good, "email": text})

    deep = b'{"items":[{"tier_id":"%s","quantity":1}],"email":"a@b.example","x":%s}'
    malformed = {
        "half a document": b'{"items": [',
        "no body": b"",
        "not UTF-8": b'{"email":"\xff"}',
        "UTF-16": '{"items":[]}'.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + orjson.dumps(good),
        "NaN": quantity(b"NaN"),
        "Infinity": quantity(b"Infinity"),
        "1e400": quantity(b"1e400"),
        "a leading zero": quantity(b"01"),
        "two documents": orjson.dumps(good) * 2,
        "half a character": orjson.dumps(good).replace(b"ada", b"\\ud800"),
        "300 levels": deep % (tier.encode(), b"[" * 300 + b"]" * 300),
        "5000 levels": deep % (tier.encode(), b"[" * 5000 + b"]" * 5000),
    }
    invalid = {
        "null": b"null",
        "a list": b"[]",
        "text": b'"checkout"',
        "no items": orjson.dumps({**good, "items": []}),
        "items missing": b'{"email":"ada@example.com"}',
        "items an object": orjson.dumps({**good, "items": item}),
        "an item a list": orjson.dumps({**good, "items": [[tier, 1]]}),
        "21 lines": orjson.dumps({**good, "items": [item] * 21}),
        "no e-mail": orjson.dumps({"items": [item]}),
        "an e-mail a number": orjson.dumps({**good, "email": 7}),
        "a tier null": orjson.dumps({**good, "items": [{**item, "tier_id": None}]}),
        "a tier that is a name": orjson.dumps({**good, "items": [{**item, "tier_id": "VIP"}]}),
        "a tier with a NUL": orjson.dumps({**good, "items": [{**item, "tier_id": tier + "\0"}]}),
        **{
            f"a quantity of {text.decode()}": quantity(text)
            for text in (b"0", b"-1", b"1001", b"1" + b"0" * 40, b"-9223372036854775809", b"1.0", b"1.5", b'"1"',
                         b"true", b"null", b"[1]", b"1e2")
        },
        **{
            f"the e-mail {text[:40]!r}": email(text)
            for text in ("", "@", "ada", "ada.example.com", "a@b@example.com", "a b@example.com", "a@b.de,b@c.de",
                         "Ada <ada@example.com>", "a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y",
                         "a\0@example.com", "a\x7f@example.com", "a\u0085b@example.com", "a\u2028@example.com",
                         "a\u200e@example.com", f"{'a' * 250}@example.com")
        },
    }  # fmt: skip
    post = "POST /v1/checkout"
    return [
        *(Bad(what, "gateway", post, 400, "malformed_json", body, JSON) for what, body in malformed.items()),
        *(Bad(what, "gateway", post, 422, "invalid", body, JSON) for what, body in invalid.items()),
        Bad("over the limit", "gateway", post, 413, "body_too_large", orjson.dumps({**good, "x": "x" * 70_000}), JSON),
        *(
            Bad(kind or "no type", "gateway", post, 415, "unsupported_media_type", orjson.dumps(good),
                {"Content-Type": kind})
            for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "nonsense")
        ),
        *(
            Bad(coding, "gateway", post, 415, "unsupported_media_type", body, {**JSON, "Content-Encoding": coding})
            for coding in ("gzip", "br", "nonsense") for body in (orjson.dumps(good), gzip.compress(orjson.dumps(good)))
        ),
        *(
            Bad(f"key {key[:20]!r}", "gateway", post, 422, "invalid", orjson.dumps(good),
                {**JSON, "Idempotency-Key": key})
            for key in ("", "short", "x" * 65, "has spaces in it 0123", "x" * 4000)
        ),
        Bad("unknown tier", "gateway", post, 422, "unknown_tier",
            orjson.dumps({**good, "items": [{"tier_id": NOTHING, "quantity": 1}]}), JSON),
        Bad("tiers of two events", "gateway", post, 422, "several_events",
            orjson.dumps({**good, "items": [item, {"tier_id": other_events_tier, "quantity": 1}]}), JSON),
        Bad("over the limit an order", "gateway", post, 409, "over_limit", quantity(b"11"), JSON),
        Bad("two lines over the limit", "gateway", post, 409, "over_limit",
            orjson.dumps({**good, "items": [{**item, "quantity": 6}] * 2}), JSON),
    ]  # fmt: skip


def buyers(names: Mapping[str, str]) -> list[Bad]:
    """Requests about orders and payments by somebody who may not, or about nothing."""
    order, paid = names["order"], names["paid"]
    wrong = {
        "no token": {},
        "another order's token": bearer(names["paid_token"]),
        "the pay token": bearer(names["pay_token"]),
        "the service token": bearer(SECRETS.service_token),
        "an altered token": bearer(names["token"][:-1] + ("A" if names["token"][-1] != "A" else "B")),
        "another scheme": {"Authorization": f"Basic {names['token']}"},
        "a long token": bearer("x" * 4000),
        "strange letters": bearer("k1.\xfftoken"),
    }
    edges = [f"GET /v1/orders/{order}", f"DELETE /v1/orders/{order}", f"GET /v1/orders/{order}/stream"]
    ids = ["1", "%00", "..%2f", f"{order[:-1]}g", "%F0%9F%8E%AB", "0" * 3000]
    pay = f"GET /pay/{order}"
    callback = "GET /payments/callback"
    return [
        *(Bad(f"{what}: {edge}", "gateway", edge, 401, "unauthorized", headers=headers)
          for edge in edges for what, headers in wrong.items()),
        *(Bad("no id", "gateway", f"{method} /v1/orders/{text}{tail}", 404, "not_found")
          for text in ids for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/stream"))),
        *(Bad("no event", "gateway", f"GET /v1/events/{text}", 404, "not_found") for text in (*ids, NOTHING)),
        Bad("cancel what is paid", "gateway", f"DELETE /v1/orders/{paid}", 409, "already_paid",
            headers=bearer(names["paid_token"])),
        Bad("wrong method", "gateway", "GET /v1/checkout", 405, "method_not_allowed"),
        Bad("wrong method", "gateway", f"PATCH /v1/orders/{order}", 405, "method_not_allowed", b"{}", JSON),
        Bad("wrong method", "gateway", "DELETE /v1/events", 405, "method_not_allowed"),
        Bad("no such page", "gateway", "GET /v2/checkout", 404, "not_found"),
        *(Bad(f"pay with {what}", "payments", f"{pay}?token={token}", 403, "wrong_token")
          for what, token in {"nothing": "", "the order's token": names["token"], "an altered": names["pay_token"][:-1],
                              "another's": names["other_pay_token"], "strange": "k1.%ff%00"}.items()),
        *(Bad("pay for no id", "payments", f"GET /pay/{text}?token={names['pay_token']}", 403, "wrong_token")
          for text in ids),
        Bad("pay by POST", "payments", f"POST /pay/{order}", 405, "method_not_allowed"),
        *(Bad(f"callback {query[:20]!r}", "payments", f"{callback}{query}", 404, "unknown_reference")
          for query in ("", "?reference=", "?reference=bx-nothing", "?reference=%00", "?reference=%ff",
                        "?reference=" + "x" * 4000, f"?reference={names['reference']}%00",
                        f"?reference={names['reference'].upper()}")),
        Bad("webhook by GET", "payments", "GET /webhooks/paystack", 405, "method_not_allowed"),
        *(Bad(f"webhook {what}", "payments", "POST /webhooks/paystack", 401, "bad_signature",
              names["webhook"].encode(), headers)
          for what, headers in {"unsigned": JSON, "signed for another body": signed(b"{}"),
                                "signed by another": signed(names["webhook"].encode(), key="sk_test_other"),
                                "of strange letters": {**JSON, "X-Paystack-Signature": "\xff" * 128},
                                "with half a signature": {"X-Paystack-Signature": "00"}}.items()),
        Bad("webhook over the limit", "payments", "POST /webhooks/paystack", 413, "body_too_large",
            b" " * (1024 * 1024 + 1), signed(b"")),
    ]  # fmt: skip


def staff(names: Mapping[str, str]) -> list[Bad]:
    """Requests of organisers and operators, and of those who are not."""
    tier, event = names["tier"], names["event"]
    ours, gate = bearer(SECRETS.organiser_token), bearer(SECRETS.gate_token)
    edges = {
        "inventory": ["POST /v1/admin/events", f"POST /v1/admin/events/{event}/tiers", f"PATCH /v1/admin/tiers/{tier}"],
        "orders": [f"GET /v1/orders/{names['order']}", f"POST /v1/admin/orders/{names['order']}/cancel",
                   "GET /v1/admin/orders?email=a", f"GET /v1/admin/orders/{NOTHING}",
                   f"POST /v1/admin/orders/{names['paid']}/refund"],
        "ticketing": [f"GET /v1/admin/orders/{names['paid']}/tickets",
                      f"POST /v1/admin/orders/{names['paid']}/tickets/1/reissue",
                      f"PUT /v1/admin/events/{event}/gate"],
        "payments": [f"GET /v1/admin/payments/{names['paid']}", "GET /v1/admin/cases",
                     "GET /v1/admin/ledger", "POST /v1/admin/cases/mismatch:1/close"],
    }  # fmt: skip
    happening = {"title": "A", "venue": "B", "starts_at": "2031-05-01T19:00:00Z", "ends_at": "2031-05-01T23:00:00Z"}
    place = {"name": "VIP", "capacity": 5, "price_kobo": 5000}
    to_events, to_tiers, to_tier = edges["inventory"]
    bodies: list[tuple[str, dict[str, Any]]] = [
        *((to_events, {**happening, **change})
          for change in ({"title": ""}, {"title": "x" * 201}, {"title": "a\0b"}, {"venue": "a\0b"}, {"title": 7},
                         {"ends_at": "2031-05-01T19:00:00Z"}, {"starts_at": "soon"}, {"starts_at": "2031-05-01"},
                         {"starts_at": "0001-01-01T00:00:00+14:00"}, {"ends_at": "9999-12-31T23:59:59-14:00"},
                         {"currency": "naira"}, {"currency": "N\0N"}, {"more": 1})),
        *((to_tiers, {**place, **change})
          for change in ({"name": ""}, {"name": "a\0b"}, {"capacity": -1}, {"capacity": 2**40}, {"capacity": 1.0},
                         {"capacity": True}, {"price_kobo": 4999}, {"price_kobo": -1}, {"price_kobo": 2**63},
                         {"price_kobo": "5000"}, {"price_kobo": None}, {"max_per_order": 0}, {"sold": 5},
                         {"sale_ends_at": "9999-12-31T23:59:59-14:00"})),
        *((to_tier, change)
          for change in ({"name": "a\0b"}, {"name": ""}, {"capacity": -1}, {"price_kobo": 1}, {"available": 7},
                         {"sale_starts_at": "0001-01-01T00:00:00+14:00"}, {"max_per_order": 2000})),
    ]  # fmt: skip
    refund = f"POST /v1/admin/orders/{names['paid']}/refund"
    return [
        *(Bad(f"nobody: {edge}", service, edge, 401, "unauthorized", b"{}", {**JSON, **headers})
          for service, paths in edges.items() for edge in paths
          for headers in ({}, bearer("x" * 24), bearer(names["token"]), bearer("\xff" * 20))),
        *(Bad(f"gate: {edge}", service, edge, 403, "forbidden", b"{}", {**JSON, **gate})
          for service, paths in edges.items() for edge in paths),
        *(Bad(f"{edge} {body}"[:120], "inventory", edge, 422, "invalid", orjson.dumps(body), {**JSON, **ours})
          for edge, body in bodies),
        *(Bad(f"malformed: {edge}", service, edge, 400, "malformed_json", b'{"a":', {**JSON, **ours})
          for service, edge in (*(("inventory", one) for one in edges["inventory"]), ("orders", refund))),
        *(Bad(f"type: {edge}", service, edge, 415, "unsupported_media_type", b"{}",
              {"Content-Type": "text/plain", **ours})
          for service, edge in (*(("inventory", one) for one in edges["inventory"]), ("orders", refund))),
        Bad("tier of no event", "inventory", f"POST /v1/admin/events/{NOTHING}/tiers", 404, "not_found",
            orjson.dumps(place), {**JSON, **ours}),
        Bad("no tier", "inventory", f"PATCH /v1/admin/tiers/{NOTHING}", 404, "not_found", b"{}", {**JSON, **ours}),
        Bad("too small", "inventory", to_tier, 409, "capacity_too_small", b'{"capacity":0}', {**JSON, **ours}),
        *(Bad(f"refund {body!r}", "orders", refund, 422, "invalid", body, {**JSON, **ours})
          for body in (b'{"why":"a\\u0000b"}', b'{"why":""}', b'{"why":7}', b'{"amount":1}', b"[]")),
        Bad("refund what is not paid", "orders", f"POST /v1/admin/orders/{names['order']}/refund", 409,
            "not_refundable", b"{}", {**JSON, **ours}),
        Bad("cancel what is paid", "orders", f"POST /v1/admin/orders/{names['paid']}/cancel", 409, "not_cancellable",
            None, ours),
        *(Bad(f"{action} nothing", "orders", f"POST /v1/admin/orders/{text}/{action}", 404, "not_found", None, ours)
          for action in ("refund", "cancel") for text in (NOTHING, "1", "%00")),
        *(Bad(f"search {query!r}", "orders", f"GET /v1/admin/orders{query}", 422, "invalid", None, ours)
          for query in ("", "?email=", "?email=a%00b", "?reference=%00")),
        Bad("no tickets", "ticketing", f"GET /v1/admin/orders/{NOTHING}/tickets", 404, "not_found", None, ours),
        *(Bad(f"reissue {what}", "ticketing", f"POST /v1/admin/orders/{order}/tickets/{number}/reissue", status, code,
              body, {**JSON, **ours, **({"Idempotency-Key": key} if key else {})})
          for what, order, number, key, body, status, code in (
              ("without a key", names["paid"], "1", "", b'{"email":"b@example.com"}', 422, "invalid"),
              ("a short key", names["paid"], "1", "short", b'{"email":"b@example.com"}', 422, "invalid"),
              ("to nobody", names["paid"], "1", "k" * 16, b"{}", 422, "invalid"),
              ("to a list", names["paid"], "1", "k" * 16, b'{"email":"b@example.com,c@example.com"}', 422, "invalid"),
              ("with a NUL", names["paid"], "1", "k" * 16, b'{"email":"b@example.com","why":"\\u0000"}', 422,
               "invalid"),
              ("half a body", names["paid"], "1", "k" * 16, b'{"email":', 400, "malformed_json"),
              ("no number", names["paid"], "one", "k" * 16, b'{"email":"b@example.com"}', 404, "not_found"),
              ("an unknown number", names["paid"], "999", "k" * 16, b'{"email":"b@example.com"}', 404, "not_found"),
              ("a huge number", names["paid"], "9" * 30, "k" * 16, b'{"email":"b@example.com"}', 404, "not_found"),
              ("nothing", NOTHING, "1", "k" * 16, b'{"email":"b@example.com"}', 404, "not_found"))),
        Bad("keys by POST", "ticketing", "POST /v1/keys", 405, "method_not_allowed"),
        Bad("no case", "payments", "POST /v1/admin/cases/mismatch:1/close", 404, "not_found", b'{"reason":"why"}',
            {**JSON, **bearer(SECRETS.operator_token)}),
        *(Bad(f"close {body!r}", "payments", "POST /v1/admin/cases/mismatch:1/close", 422, "invalid", body,
              {**JSON, **bearer(SECRETS.operator_token)})
          for body in (b"{}", b'{"reason":"x"}', b'{"reason":"a\\u0000bc"}', b'{"reason":7}', b"[]")),
        Bad("no payment", "payments", f"GET /v1/admin/payments/{NOTHING}", 404, "not_found", None, ours),
        *at_the_gate(names),
    ]  # fmt: skip


def at_the_gate(names: Mapping[str, str]) -> list[Bad]:
    """Requests of devices, supervisors and organisers, and of those who are not."""
    gate, supervisor = bearer(SECRETS.gate_token), bearer(SECRETS.supervisor_token)
    ours = bearer(SECRETS.organiser_token)
    event, of_event = names["event"], f"/v1/gate/events/{names['event']}"
    ask, sync, undo = "POST /v1/gate/checkins", "POST /v1/gate/sync", f"POST /v1/gate/checkins/{NOTHING}/undo"
    choose = f"PUT /v1/admin/events/{event}/gate"
    shown = {"admission_id": NOTHING, "event_id": event, "ticket": "ZZ2345-001-00000000", "gate": "north",
             "who": "ada", "at": "2031-05-01T19:00:00Z"}  # fmt: skip
    note = {"admission_id": NOTHING, "event_id": event, "code": "ZZ2345-001-00000000", "gate": "north",
            "who": "ada", "admitted_at": "2031-05-01T19:00:00Z"}  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {"gate": ""}, {"gate": "a\0b"}, {"who": "x" * 81}, {"event_id": "1"}, {"admission_id": 7}, {"more": 1},
    ]  # fmt: skip
    asked = [*wrong, {"ticket": ""}, {"ticket": "a\0b"}, {"ticket": "x" * 1025}, {"at": "now"}]
    noted = [*wrong, {"code": "x" * 65}, {"admitted_at": "9999-12-31T23:59:59-14:00"}]
    return [
        *(Bad(f"nobody: {edge}", "ticketing", edge, 401, "unauthorized", b"{}", {**JSON, **headers})
          for edge in (ask, sync, undo, f"GET {of_event}/pack", f"GET {of_event}/conflicts", f"GET {of_event}/history")
          for headers in ({}, bearer("x" * 24), bearer(names["token"]))),
        *(Bad(f"no gate: {edge}", "ticketing", edge, 403, "forbidden", b"{}", {**JSON, **ours})
          for edge in (ask, sync)),
        *(Bad(f"no supervisor: {edge}", "ticketing", edge, 403, "forbidden", b"{}", {**JSON, **gate})
          for edge in (undo, f"GET {of_event}/history")),
        *(Bad(f"{edge} {change}"[:120], "ticketing", edge, 422, "invalid", orjson.dumps(body), {**JSON, **gate})
          for edge, change, body in (*((ask, one, {**shown, **one}) for one in asked),
                                     *((sync, one, {"admissions": [note, {**note, **one}]}) for one in noted),
                                     (sync, "none", {"admissions": []}))),
        *(Bad(f"malformed: {edge}", "ticketing", edge, 400, "malformed_json", b'{"a":', {**JSON, **gate})
          for edge in (ask, sync)),
        Bad("not a ticket", "ticketing", ask, 422, "not_a_ticket", orjson.dumps({**shown, "ticket": "hello"}),
            {**JSON, **gate}),
        Bad("unknown ticket", "ticketing", ask, 404, "unknown_ticket", orjson.dumps(shown), {**JSON, **gate}),
        Bad("sync over the limit", "ticketing", sync, 413, "body_too_large", b" " * (1024 * 1024 + 1),
            {**JSON, **gate}),
        *(Bad(f"undo {body!r}", "ticketing", undo, 422, "invalid", body, {**JSON, **supervisor})
          for body in (b"{}", b'{"gate":"a","who":"b","why":""}', b'{"gate":"a","who":"b","why":"a\\u0000b"}')),
        Bad("undo nothing", "ticketing", undo, 404, "not_found", b'{"gate":"a","who":"b","why":"c"}',
            {**JSON, **supervisor}),
        *(Bad(f"choose {body!r}", "ticketing", choose, 422, "invalid", body, {**JSON, **ours})
          for body in (b'{"form":"plain"}', b'{"opens_at":"soon"}', b'{"more":1}', b"[]")),
        *(Bad(f"pack since {since!r}", "ticketing", f"GET {of_event}/pack?since={since}", 422, "invalid", None, gate)
          for since in ("x", "-1", "1e3", "%00", "9" * 12)),
        *(Bad(f"history {query!r}", "ticketing", f"GET {of_event}/history{query}", 422, "invalid", None, supervisor)
          for query in ("", "?code=", "?code=%00", "?code=" + "x" * 300)),
        *(Bad(f"pack of {text!r}", "ticketing", f"GET /v1/gate/events/{text}/pack", 404, "not_found", None, gate)
          for text in (NOTHING, "1", "%00")),
    ]  # fmt: skip


async def ask_raw(port: int, request: bytes) -> int:
    """Send octets no client library would send; returns the status, 0 where the connection is only closed."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            line = await reader.readline()
        except ConnectionError:
            line = b""
        finally:
            writer.close()
    return int(line.split()[1]) if line else 0
