"""P10: bad input gets the clear answer that DESIGN says, changes no order, stock or ticket, and stops nobody else."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from deploy.demo.shop import Answer
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from tests.databases import fresh_databases
from tests.harness import delete_namespace, new_namespace
from tests.integration.bad_input_support import (
    Bad,
    a_good_order_goes_through,
    all_rows,
    ask_raw,
    at_rest,
    buyers,
    checkouts,
    signed,
    staff,
)
from tests.system import System, make_wiring, system

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(engines: Engines, templates: Templates) -> AsyncIterator[System]:
    namespace = new_namespace()
    with fresh_databases(templates) as make_database:
        async with system(make_wiring(engines.amqp_url, namespace, make_database)) as one:
            yield one
    await delete_namespace(engines.amqp_url, namespace)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def names(whole: System) -> Mapping[str, str]:
    """A paid order, and one with a link to pay, for bad input to do something to."""
    tier = await whole.tier(1000)
    paid, order = [await whole.shop.checkout((tier, 2)) for _ in range(2)]
    reference = await whole.shop.pay(paid)
    await whole.shop.until(paid.order_id, paid.token, {"paid"}, 15, tickets=True)
    event = await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", tier)
    charge_id = await whole.value("payments", "SELECT charge_id FROM charges WHERE order_id = $1", paid.order_id)
    data = {"id": int(charge_id), "reference": reference, "status": "success", "amount": 1_000_000, "currency": "NGN",
            "domain": "test"}  # fmt: skip
    await at_rest(whole)
    return {
        "tier": str(tier), "event": str(event), "other_tier": str(await whole.tier(10)),
        "order": str(order.order_id), "token": order.token, "pay_token": pay_token(order),
        "paid": str(paid.order_id), "paid_token": paid.token, "other_pay_token": pay_token(paid),
        "reference": reference, "webhook": orjson.dumps({"event": "charge.success", "data": data}).decode(),
    }  # fmt: skip


def pay_token(order: Answer) -> str:
    return parse_qs(urlsplit(str(order.body["payment_url"])).query)["token"][0]


async def send(whole: System, bad: Bad) -> tuple[int, Any, Mapping[str, str]]:
    method, _, path = bad.request.partition(" ")
    url = URL(f"{whole.url(bad.service)}{path}", encoded=True)
    body = None if bad.body is None else io.BytesIO(bad.body)
    async with whole.session.request(
        method, url, data=body, headers=bad.headers, allow_redirects=False, skip_auto_headers=["Content-Type"]
    ) as response:
        return response.status, await response.read(), response.headers


async def refused(whole: System, cases: list[Bad]) -> list[str]:
    """What was wrong with the answers; empty where each was the one it should be."""
    faults = []
    for bad in cases:
        try:
            status, body, headers = await send(whole, bad)
        except aiohttp.ClientError as error:
            faults.append(f"{bad.service} {bad.request[:80]} ({bad.what}): {error!r}")
            continue
        is_problem = headers.get("Content-Type", "").startswith("application/problem+json")
        code = orjson.loads(body)["code"] if is_problem else f"{body[:60]!r}"
        if (status, code) != (bad.status, bad.code):
            faults.append(f"{bad.service} {bad.request[:80]} ({bad.what}): {status} {code}")
    return faults


async def test_a_bad_checkout_is_answered_clearly_and_changes_nothing(whole: System, names: Mapping[str, str]) -> None:
    before = await all_rows(whole)
    cases = checkouts(names["tier"], names["other_tier"])
    faults = await refused(whole, cases)
    assert not faults, "\n".join(faults)
    await at_rest(whole)
    after = await all_rows(whole)
    # What is refused by inventory's own rows leaves an order that says so, and no place held.
    asked = [bad for bad in cases if bad.code in {"unknown_tier", "several_events", "over_limit"}]
    new = {table: rows - before[table] for table, rows in after.items() if rows != before[table]}
    assert not any(before[table] - rows for table, rows in after.items()), "a row was changed"
    assert {table: len(rows) for table, rows in new.items()} == dict.fromkeys(
        ("orders.orders", "inventory.holds", "reaper.deadlines"), len(asked)
    )
    assert all('"status": "rejected"' in row for table in ("orders.orders", "inventory.holds") for row in new[table])
    await a_good_order_goes_through(whole, names["tier"])


@pytest.mark.parametrize("cases", [buyers, staff])
async def test_a_bad_request_is_answered_clearly_and_changes_nothing(
    whole: System, names: Mapping[str, str], cases: Any
) -> None:
    before = await all_rows(whole)
    receipts = await whole.value("payments", "SELECT count(*) FROM receipts")
    faults = await refused(whole, cases(names))
    assert not faults, "\n".join(faults)
    await at_rest(whole)
    assert await all_rows(whole) == before
    assert await whole.value("payments", "SELECT count(*) FROM receipts") == receipts
    await a_good_order_goes_through(whole, names["tier"])


_POST = b"POST /v1/checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
RAW: Mapping[str, tuple[bytes, set[int]]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", {400}),
    "a header of 100 kB": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", {400, 431}),
    "an address of 100 kB": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414}),
    "10,000 headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", {400, 431}),
    "an address that is not UTF-8": (b"GET /v1/orders/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    "a negative length": (_POST + b"Content-Length: -1\r\n\r\n", {400}),
    "two lengths": (_POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}", {400}),
    "a broken chunk": (_POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n", {400}),
}  # fmt: skip


async def test_octets_that_are_no_request_are_refused(whole: System, names: Mapping[str, str]) -> None:
    before = await all_rows(whole)
    for service in ("gateway", "payments", "inventory", "orders", "ticketing"):
        for what, (octets, statuses) in RAW.items():
            assert await ask_raw(whole.wiring.port(service), octets) in statuses, f"{service}: {what}"
    assert await all_rows(whole) == before
    await a_good_order_goes_through(whole, names["tier"])


async def test_what_is_odd_and_not_wrong_is_taken_as_it_stands(whole: System) -> None:
    tier = await whole.tier(10)
    body = (
        '{"email":"first@example.com","price":1,'
        f'"items":[{{"tier_id":"{str(tier).upper()}","quantity":5,"quantity":1,"name":"x"}}],'
        f'"email":"last@example.com","total_kobo":0,"deep":{"[" * 200 + "]" * 200}}}'
    )
    answer = await whole.shop.request(
        "POST", f"{whole.url('gateway')}/v1/checkout", data=body.encode(),
        headers={"Content-Type": "application/json; charset=utf-8", "Prefer": "wait=banana", "traceparent": "\xff"},
    )  # fmt: skip
    assert (answer.status, answer.body["total_kobo"]) == (201, 500_000), "of two equal names the last counts"
    await whole.shop.pay(answer)
    assert len(await whole.mailed("last@example.com")) == 1
    assert await whole.value("inventory", "SELECT available FROM tiers WHERE id = $1", tier) == 9
    await at_rest(whole)


#: Whatever JSON there is; numbers beyond what JSON readers agree on are in the table of the cases above.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["ada@example.com", "a\0@b.c", "{tier}", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["items", "email", "tier_id", "quantity", "total"]) | st.text(max_size=5), inner, max_size=4
    ),
    max_leaves=10,
)  # fmt: skip
ITEMS = st.fixed_dictionaries({"tier_id": st.just("{tier}") | ANYTHING, "quantity": st.integers(-2, 12) | ANYTHING})
BODIES = ANYTHING | st.fixed_dictionaries(
    {"items": st.lists(ITEMS, max_size=3) | ANYTHING, "email": st.just("ada@example.com") | ANYTHING}
)


@given(body=BODIES)
@settings(max_examples=200, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
async def test_no_body_whatever_makes_an_error_of_ours_or_an_order_it_was_not_told_of(
    whole: System, names: Mapping[str, str], body: Any
) -> None:
    count = "SELECT count(*) FROM orders"
    before = await whole.value("orders", count)
    answer = await whole.shop.request(
        "POST", f"{whole.url('gateway')}/v1/checkout", headers={"Content-Type": "application/json", "Prefer": "wait=9"},
        data=json.dumps(body).replace("{tier}", names["tier"]).encode(),
    )  # fmt: skip
    is_asked = answer.status in {201, 409} or answer.body["code"] in {"unknown_tier", "several_events"}
    assert is_asked or answer.status in {400, 413, 422}, dict(answer.body)
    assert await whole.value("orders", count) == before + is_asked


async def test_an_authentic_webhook_is_kept_and_answered_200_whatever_it_says(
    whole: System, names: Mapping[str, str]
) -> None:
    before = await all_rows(whole)
    receipts = await whole.value("payments", "SELECT count(*) FROM receipts")
    charge = orjson.loads(names["webhook"])
    bodies = [
        b"", b"\xff\x00", b"[]", b"{}", b'{"event":"\\u0000","data":7}', b'{"event":"x",' * 3000,
        *(json.dumps({**charge, "data": {**charge["data"], **change}}).encode() for change in (
            {"reference": "x\0", "id": 1}, {"reference": "y" * 10_000, "id": 2}, {"reference": None}, {"id": "\0"},
            {"amount": 2**63}, {"amount": "1.5"}, {"currency": "N\0N"}, {"domain": "te\0st"}, {"status": "suc\0cess"},
            {"paid_at": "0001-01-01T00:00:00+14:00"}, {"paid_at": "never"}, {"fees": 2**70},
        )),
    ]  # fmt: skip
    for body in bodies:
        status, _, _ = await send(
            whole, Bad("kept", "payments", "POST /webhooks/paystack", 200, "", body, signed(body))
        )
        assert status == 200, body[:200]
    kept = "SELECT body FROM receipts WHERE handled_at IS NULL"
    assert [row["body"][:200] for row in await whole.rows("payments", kept)] == [], "not handled in the first try"
    assert await whole.value("payments", "SELECT count(*) FROM receipts") == receipts + len(bodies)
    after = await all_rows(whole)
    # A charge of a reference that is none of ours is a fact of Paystack's, and an amount that is not ours goes back.
    money = {"payments.charges", "payments.refunds", "mailer.mails", "payments.attempts"}
    assert {name for name in before if before[name] != after[name]} <= money
    await a_good_order_goes_through(whole, names["tier"])
