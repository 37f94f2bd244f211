"""Checkouts through the real broker, the real orders and the real inventory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from deploy.local.engines import Engines
from shared.contracts.gateway import CheckoutRequestedV1
from tests.databases import MakeDatabase
from tests.harness import Wire
from tests.integration.gateway_support import Stack, make_stack

KEY = "key-0123456789abcdef"


@pytest.fixture
async def stack(engines: Engines, namespace: str, make_database: MakeDatabase) -> AsyncIterator[Stack]:
    async with (
        make_stack(
            engines.amqp_url,
            namespace,
            orders_database=make_database("orders"),
            inventory_database=make_database("inventory"),
        ) as one,
        one.gateway(),
    ):
        yield one


async def test_a_checkout_is_answered_with_its_outcome(stack: Stack) -> None:
    tier = await stack.add_tier(name="VIP", price_kobo=750_000)
    answer = await stack.check_out((tier, 2))
    assert answer.status == 201, answer.text
    order = answer.json
    assert set(order) == {
        "order_id", "order_token", "status", "total_kobo", "currency", "lines", "payment_url", "expires_at",
    }  # fmt: skip
    assert order["status"] == "pending"
    assert order["total_kobo"] == 1_500_000
    assert order["currency"] == "NGN"
    assert order["lines"] == [{"tier_id": str(tier), "tier_name": "VIP", "quantity": 2, "price_kobo": 750_000}]
    assert order["payment_url"].startswith(f"https://pay.example/pay/{order['order_id']}?token=k2.")
    assert datetime.fromisoformat(order["expires_at"]) > datetime.now(UTC)
    assert answer.headers["Location"] == f"https://tickets.example/v1/orders/{order['order_id']}"
    assert len(answer.headers["Idempotency-Key"]) == 32


async def test_what_a_client_says_about_prices_changes_nothing(stack: Stack) -> None:
    tier = await stack.add_tier(price_kobo=500_000)
    item = {"tier_id": str(tier), "quantity": 1, "price_kobo": 1, "price": 1, "name": "Free"}
    answer = await stack.call(
        "POST",
        "/v1/checkout",
        json={"items": [item], "email": "ada@example.com", "total": 1, "total_kobo": 1, "currency": "USD"},
    )
    assert answer.status == 201, answer.text
    assert answer.json["total_kobo"] == 500_000
    assert answer.json["currency"] == "NGN"
    assert answer.json["lines"][0]["tier_name"] == "Regular"


async def test_one_tier_on_two_lines_is_one_order_of_both(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=5)
    answer = await stack.check_out((tier, 2), (tier, 3))
    assert answer.status == 201, answer.text
    assert answer.json["total_kobo"] == 5 * 500_000
    assert await stack.taken(tier) == 5


async def test_an_order_that_costs_nothing_needs_no_payment(stack: Stack) -> None:
    answer = await stack.check_out((await stack.add_tier(price_kobo=0), 1))
    assert answer.status == 201, answer.text
    assert (answer.json["total_kobo"], answer.json["payment_url"]) == (0, None)


async def test_a_refused_checkout_says_why_and_holds_nothing(stack: Stack) -> None:
    few, limited = await stack.add_tier(capacity=1), await stack.add_tier(most=2)
    later = await stack.add_tier(sale_starts_at=datetime.now(UTC) + timedelta(days=1))
    elsewhere = await stack.add_tier(event_id=uuid4(), title="Another")
    unknown = uuid4()
    cases: list[tuple[list[tuple[UUID, int]], int, str, UUID | None]] = [
        ([(few, 2)], 409, "sold_out", few),
        ([(limited, 3)], 409, "over_limit", limited),
        ([(later, 1)], 409, "not_on_sale", later),
        ([(unknown, 1)], 422, "unknown_tier", unknown),
        ([(few, 1), (elsewhere, 1)], 422, "several_events", None),
    ]
    for lines, status, code, tier in cases:
        answer = await stack.check_out(*lines)
        assert (answer.status, answer.json["code"]) == (status, code), answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert UUID(answer.json["order_id"])
        assert answer.headers["Idempotency-Key"]
        if tier is not None:
            assert answer.json["tier_id"] == str(tier)
    for tier_id in (few, limited, later, elsewhere):
        assert await stack.taken(tier_id) == 0
    assert (await stack.check_out((few, 1))).status == 201


async def test_one_key_is_one_order_through_two_replicas_at_once_and_after_a_restart(stack: Stack) -> None:
    tier = await stack.add_tier()
    async with stack.gateway() as second:
        replicas = (stack.gateways[0], second)
        answers = await asyncio.gather(
            *(stack.check_out((tier, 2), key=KEY, gateway=replicas[number % 2]) for number in range(10))
        )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    async with stack.gateway() as restarted:
        again = await stack.check_out((tier, 2), key=KEY, gateway=restarted)
        assert again.status == 201
        assert again.text == answers[0].text
        assert await stack.count_orders() == 1
        assert await stack.taken(tier) == 2


async def test_a_refusal_is_repeated_under_its_key(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=1)
    first = await stack.check_out((tier, 2), key=KEY)
    second = await stack.check_out((tier, 2), key=KEY)
    assert first.status == second.status == 409
    assert first.json == second.json


@pytest.mark.parametrize("prefer", [None, "respond-async", "wait=0", "wait=5"])
async def test_another_body_under_a_key_is_refused(stack: Stack, prefer: str | None) -> None:
    tier = await stack.add_tier()
    assert (await stack.check_out((tier, 1), key=KEY)).status == 201
    for answer in (
        await stack.check_out((tier, 2), key=KEY, prefer=prefer),
        await stack.check_out((tier, 1), key=KEY, prefer=prefer, email="eve@example.com"),
    ):
        assert answer.status == 422, answer.text
        assert answer.json["code"] == "idempotency_key_reused"
        assert "order_token" not in answer.text
    assert await stack.taken(tier) == 1


async def test_the_lines_of_a_repeat_may_come_in_another_order(stack: Stack) -> None:
    first, second = await stack.add_tier(), await stack.add_tier()
    one = await stack.check_out((first, 1), (second, 2), key=KEY)
    two = await stack.check_out((second, 2), (first, 1), key=f'"{KEY}"')
    assert (one.status, two.status) == (201, 201)
    assert one.json["order_id"] == two.json["order_id"]


async def test_a_key_made_by_the_gateway_repeats_the_order(stack: Stack) -> None:
    tier = await stack.add_tier()
    first = await stack.check_out((tier, 1))
    again = await stack.check_out((tier, 1), key=first.headers["Idempotency-Key"])
    assert again.text == first.text
    assert (await stack.check_out((tier, 1))).json["order_id"] != first.json["order_id"]


async def test_who_does_not_want_to_wait_is_answered_at_once(stack: Stack) -> None:
    tier = await stack.add_tier()
    for prefer in ("respond-async", "wait=0"):
        answer = await stack.check_out((tier, 1), prefer=prefer)
        assert answer.status == 202, answer.text
        assert answer.headers["Preference-Applied"] == prefer
        assert set(answer.json) == {"order_id", "order_token", "status"}
        assert answer.json["status"] == "pending"
        assert answer.headers["Location"].endswith(f"/v1/orders/{answer.json['order_id']}")


async def test_a_repeat_of_a_known_order_gets_its_outcome_without_waiting(stack: Stack) -> None:
    tier = await stack.add_tier()
    first = await stack.check_out((tier, 1), key=KEY)
    again = await stack.check_out((tier, 1), key=KEY, prefer="respond-async")
    assert (again.status, again.text) == (201, first.text)


async def test_many_checkouts_share_few_messages_and_a_lone_one_waits_for_no_timer(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=1000)
    async with Wire(stack.amqp_url, stack.namespace) as wire:
        messages: list[int] = []
        queue = await wire.channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(wire.topology.commands, routing_key=CheckoutRequestedV1.TYPE)
        done = asyncio.Event()

        async def count(message: Any) -> None:
            messages.append(message.body.count(b'"specversion"'))
            if sum(messages) == 300:
                done.set()

        await queue.consume(count, no_ack=True)
        answers = await asyncio.gather(*(stack.check_out((tier, 1)) for _ in range(300)))
        assert {answer.status for answer in answers} == {201}
        async with asyncio.timeout(30):
            await done.wait()
    assert len({answer.json["order_id"] for answer in answers}) == 300
    assert await stack.taken(tier) == 300
    assert len(messages) < 100, messages


VALID: dict[str, Any] = {"items": [{"tier_id": str(UUID(int=1)), "quantity": 1}], "email": "ada@example.com"}
ITEM: dict[str, Any] = VALID["items"][0]
BAD: dict[str, tuple[Any, int, str]] = {
    "malformed": (b'{"items": [', 400, "malformed_json"),
    "empty": (b"", 400, "malformed_json"),
    "not UTF-8": (b'{"email": "\xff"}', 400, "malformed_json"),
    "a list": ([], 422, "invalid"),
    "null": (b"null", 422, "invalid"),
    "no items": (VALID | {"items": []}, 422, "invalid"),
    "items missing": ({"email": "ada@example.com"}, 422, "invalid"),
    "21 lines": (VALID | {"items": [ITEM] * 21}, 422, "invalid"),
    "zero": (VALID | {"items": [ITEM | {"quantity": 0}]}, 422, "invalid"),
    "negative": (VALID | {"items": [ITEM | {"quantity": -1}]}, 422, "invalid"),
    "huge": (VALID | {"items": [ITEM | {"quantity": 10**12}]}, 422, "invalid"),
    "beyond 64 bits": (
        b'{"items":[{"tier_id":"%s","quantity":%d}],"email":"a@b.c"}' % (b"0" * 32, 10**40),
        422,
        "invalid",
    ),
    "a fraction": (VALID | {"items": [ITEM | {"quantity": 1.5}]}, 422, "invalid"),
    "a whole fraction": (VALID | {"items": [ITEM | {"quantity": 1.0}]}, 422, "invalid"),
    "text for a number": (VALID | {"items": [ITEM | {"quantity": "1"}]}, 422, "invalid"),
    "true for a number": (VALID | {"items": [ITEM | {"quantity": True}]}, 422, "invalid"),
    "no tier": (VALID | {"items": [{"quantity": 1}]}, 422, "invalid"),
    "a tier that is no id": (VALID | {"items": [ITEM | {"tier_id": "VIP"}]}, 422, "invalid"),
    "no e-mail": ({"items": [ITEM]}, 422, "invalid"),
    "half a character": (b'{"items":[],"email":"\\ud800@example.com"}', 400, "malformed_json"),
    "an empty e-mail": (VALID | {"email": ""}, 422, "invalid"),
    "no at sign": (VALID | {"email": "ada.example.com"}, 422, "invalid"),
    "two addresses": (VALID | {"email": "a@example.com,b@example.com"}, 422, "invalid"),
    "a second header": (VALID | {"email": "a@example.com\nBcc: b@example.com"}, 422, "invalid"),
    "a NUL": (VALID | {"email": "a\x00@example.com"}, 422, "invalid"),
    "a long e-mail": (VALID | {"email": f"{'a' * 250}@example.com"}, 422, "invalid"),
    "a body over the limit": (VALID | {"more": "x" * 16_384}, 413, "body_too_large"),
}


async def test_bad_input_is_answered_clearly_and_changes_nothing(stack: Stack) -> None:
    async with Wire(stack.amqp_url, stack.namespace) as wire:
        heard = await wire.overhear(CheckoutRequestedV1)
        for name, (body, status, code) in BAD.items():
            sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
            answer = await stack.call("POST", "/v1/checkout", headers={"Content-Type": "application/json"}, **sent)
            assert (answer.status, answer.json["code"]) == (status, code), (name, answer.text)
            assert answer.headers["Content-Type"].startswith("application/problem+json"), name
            if status == 422:
                assert answer.json["errors"], name
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = await stack.call("POST", "/v1/checkout", headers={"Content-Type": content_type}, data=b"{}")
            assert answer.status == 415, content_type
        for key in ("short", "x" * 65, "has spaces in it 0123", "ключ-0123456789abcdef"):
            answer = await stack.check_out((UUID(int=1), 1), key=key)
            assert (answer.status, answer.json["code"]) == (422, "invalid"), key
            assert answer.json["errors"][0]["field"] == "Idempotency-Key"
        assert (await stack.call("PUT", "/v1/checkout")).status == 405
        assert (await stack.call("GET", "/v1/nothing")).json["code"] == "not_found"
        tier = await stack.add_tier()
        good = await stack.check_out((tier, 1))
        assert good.status == 201, good.text
        assert str((await asyncio.wait_for(heard.get(), 30)).subject) == good.json["order_id"]
        assert heard.empty()
    assert await stack.count_orders() == 1


async def test_metrics_count_what_buyers_were_told(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=1)
    await stack.check_out((tier, 1))
    await stack.check_out((tier, 1))
    text = (await stack.call("GET", "/metrics")).text
    assert 'boxoffice_checkouts_total{outcome="known"} 1.0' in text
    assert 'boxoffice_checkouts_total{outcome="sold_out"} 1.0' in text
    assert 'boxoffice_command_batch_events_count{type="checkout.requested.v1"} 2.0' in text
    assert "boxoffice_checkouts_waiting 0.0" in text
