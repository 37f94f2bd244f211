"""Reading, following and cancelling orders through any replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from deploy.local.engines import Engines
from services.gateway.service import Gateway
from services.gateway.views import Links
from shared.contracts.gateway import CancelRequestedV1
from shared.contracts.orders import OrderExpiredV1, OrderPaidV1
from shared.contracts.payments import PaymentAbandonedV1
from shared.http.tokens import Tokens
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire
from tests.integration.gateway_support import NOWHERE, Answer, Stack, Stream, bearer, make_stack
from tests.samples import confirmed, issued, reference_of
from tests.waiting import until


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


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    async with Wire(stack.amqp_url, stack.namespace) as one:
        yield one


@pytest.fixture
async def order(stack: Stack) -> Any:
    """An order of two places, waiting for its money."""
    answer = await stack.check_out((await stack.add_tier(name="VIP"), 2))
    assert answer.status == 201, answer.text
    return answer.json


@asynccontextmanager
async def following(stack: Stack, order: Any, gateway: Gateway | None = None) -> AsyncIterator[Stream]:
    port = (gateway or stack.gateways[0]).http_port
    url = f"http://127.0.0.1:{port}/v1/orders/{order['order_id']}/stream"
    timeout = aiohttp.ClientTimeout(total=None)
    async with stack.client.get(url, params={"token": order["order_token"]}, timeout=timeout) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def pay(wire: Wire, order: Any) -> None:
    """What payments and ticketing say of an order that is paid."""
    order_id = UUID(order["order_id"])
    heard = await wire.overhear(OrderPaidV1)
    await wire.publish(confirmed(order_id))
    await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
    await wire.publish(issued(order_id))


def with_token(stack: Stack, order_id: UUID) -> dict[str, str]:
    tokens = Tokens(stack.gateways[0].settings.keys)
    links = Links(tokens, public_url="https://tickets.example", payments_public_url="https://pay.example")
    return {"order_id": str(order_id), "order_token": links.order_token(order_id)}


async def test_an_order_is_shown_to_who_has_its_token(stack: Stack, order: Any) -> None:
    shown = (await stack.get_order(order)).json
    assert (shown["status"], shown["total_kobo"], shown["currency"]) == ("pending", 1_000_000, "NGN")
    assert shown["payment_url"] == order["payment_url"]
    assert shown["expires_at"] == order["expires_at"]
    assert shown["event"]["title"] == "Night of the Long Drums"
    assert len(shown["reference"]) == 6
    assert "email" not in shown
    assert "request_hash" not in shown
    by_query = await stack.call("GET", f"/v1/orders/{order['order_id']}?token={order['order_token']}")
    assert by_query.json["reference"] == shown["reference"]
    assert by_query.headers["Cache-Control"] == "no-store"
    assert by_query.headers["Referrer-Policy"] == "no-referrer"


async def test_nobody_else_sees_or_touches_it(stack: Stack, order: Any) -> None:
    other = (await stack.check_out((await stack.add_tier(), 1))).json
    pay_token = order["payment_url"].partition("token=")[2]
    path = f"/v1/orders/{order['order_id']}"
    for token in (None, "", "nonsense", other["order_token"], pay_token, order["order_token"][:-1], "k9." + "a" * 43):
        for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/stream")):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            answer = await stack.call(method, where, headers=headers)
            assert (answer.status, answer.json["code"]) == (401, "unauthorized"), (method, token)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await stack.call("GET", "/v1/orders/nothing", headers=bearer(order))).status == 404
    assert (await stack.get_order(order)).json["status"] == "pending"


async def test_a_token_under_an_older_key_still_reads(stack: Stack) -> None:
    order_id = uuid4()
    old = Tokens(dict(list(stack.gateways[0].settings.keys.items())[1:])).make("order", order_id)
    answer = await stack.get_order({"order_id": order_id, "order_token": old})
    assert (answer.status, answer.json["status"]) == (200, "pending")


async def test_an_order_that_orders_has_not_taken_up_is_pending(stack: Stack) -> None:
    answer = await stack.get_order(with_token(stack, uuid4()))
    assert answer.status == 200
    assert (answer.json["status"], answer.json["version"], answer.json["total_kobo"]) == ("pending", 0, None)


async def test_orders_away_is_said_so(stack: Stack, order: Any) -> None:
    async with stack.gateway(orders_url=NOWHERE) as cut_off:
        answer = await stack.get_order(order, gateway=cut_off)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


async def test_a_stream_shows_the_order_now_and_then_each_change_through_another_replica(
    stack: Stack, order: Any, wire: Wire
) -> None:
    async with stack.gateway() as second, following(stack, order, second) as stream:
        first = await stream.next()
        assert first is not None
        assert (first["status"], first["total_kobo"]) == ("pending", 1_000_000)
        await pay(wire, order)
        paid = await stream.until("paid")
        assert paid["version"] > first["version"]
        assert paid["payment_url"] is None
        while not paid["tickets"]:
            paid = await stream.until("paid")
        reference = reference_of(UUID(order["order_id"]))
        assert [ticket["code"] for ticket in paid["tickets"]] == [f"{reference}-00{n}-f3a2b1c0" for n in (1, 2)]
        assert [ticket["revoked"] for ticket in paid["tickets"]] == [False, False]


async def test_a_stream_may_be_opened_before_orders_has_the_order(stack: Stack) -> None:
    tier = await stack.add_tier()
    async with stack.gateway() as second:
        order = (await stack.check_out((tier, 1), prefer="respond-async")).json
        async with following(stack, order, second) as stream:
            seen = await stream.next()
            while seen is not None and seen["total_kobo"] is None:
                seen = await stream.next()
            assert seen is not None
            assert seen["total_kobo"] == 500_000


async def test_an_idle_stream_is_kept_open(stack: Stack, order: Any) -> None:
    async with stack.gateway(heartbeat_seconds=0.05) as quick, following(stack, order, quick) as stream:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await stream.response.content.readline()) != b": still here\n":
                assert not stream.response.content.at_eof()


async def test_streams_beyond_the_limit_are_refused(stack: Stack, order: Any) -> None:
    async with stack.gateway(streams_most=1) as narrow, following(stack, order, narrow):
        path = f"/v1/orders/{order['order_id']}/stream"
        answer = await stack.call("GET", path, gateway=narrow, headers=bearer(order))
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
    await until(lambda: "streams_open 0.0" in narrow.metrics.render().decode(), 10, "the stream is given up")


async def test_a_stream_ends_when_its_replica_drains(stack: Stack, order: Any) -> None:
    async with stack.gateway() as second:
        async with following(stack, order, second) as stream:
            await stream.next()
            stopping = asyncio.create_task(second.stop())
            assert await stream.next() is None
        await stopping
        stack.gateways.remove(second)


async def test_a_cancelled_order_gives_its_places_back(stack: Stack, order: Any) -> None:
    tier = UUID(order["lines"][0]["tier_id"])
    assert await stack.taken(tier) == 2
    for _ in range(2):
        answer = await stack.call("DELETE", f"/v1/orders/{order['order_id']}", headers=bearer(order))
        assert (answer.status, answer.json["status"]) == (200, "cancelled"), answer.text
        assert answer.json["payment_url"] is None

    async def is_free() -> bool:
        return await stack.taken(tier) == 0

    await until(is_free, PATIENCE_SECONDS, "the places come back")


async def test_a_paid_order_cannot_be_cancelled(stack: Stack, order: Any, wire: Wire) -> None:
    await pay(wire, order)
    answer = await stack.call("DELETE", f"/v1/orders/{order['order_id']}", headers=bearer(order))
    assert (answer.status, answer.json["code"]) == (409, "already_paid")
    assert (await stack.get_order(order)).json["status"] == "paid"


async def test_an_expired_order_is_over_already(stack: Stack, order: Any, wire: Wire) -> None:
    async with stack.orders.database.acquire() as connection:
        await connection.execute(
            "UPDATE orders SET created_at = now() - interval '20 min', expires_at = now() - interval '1 s'"
        )
    heard = await wire.overhear(OrderExpiredV1)
    await wire.publish(PaymentAbandonedV1(order_id=UUID(order["order_id"])))
    await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
    answer = await stack.call("DELETE", f"/v1/orders/{order['order_id']}", headers=bearer(order))
    assert (answer.status, answer.json["status"]) == (200, "expired")


async def test_a_cancellation_nobody_answers_is_accepted_and_repeated(stack: Stack, wire: Wire) -> None:
    order = with_token(stack, uuid4())
    heard = await wire.overhear(CancelRequestedV1)
    async with stack.gateway(ask_again_seconds=0.05) as asking:
        path = f"/v1/orders/{order['order_id']}"
        headers = bearer(order) | {"Prefer": "wait=0"}
        answer: Answer = await stack.call("DELETE", path, gateway=asking, headers=headers)
        assert (answer.status, answer.json["status"]) == (202, "pending"), answer.text
        assert answer.headers["Preference-Applied"] == "wait=0"
        for _ in range(3):
            assert (await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)).subject == UUID(order["order_id"])


async def test_the_catalogue_shows_tiers_and_moves_with_them(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=7, name="VIP", price_kobo=750_000)
    (event,) = (await stack.call("GET", "/v1/events")).json["events"]
    shown = event["tiers"][0]
    assert (shown["id"], shown["name"], shown["price_kobo"]) == (str(tier), "VIP", 750_000)
    assert (shown["currency"], shown["available"], shown["held"]) == ("NGN", 7, 0)
    assert (await stack.call("GET", f"/v1/events/{event['id']}")).json["tiers"] == event["tiers"]
    assert (await stack.call("GET", f"/v1/events/{uuid4()}")).status == 404
    assert (await stack.call("GET", "/v1/events/nothing")).status == 404
    await stack.check_out((tier, 3))

    async def moved() -> bool:
        tiers = (await stack.call("GET", f"/v1/events/{event['id']}")).json["tiers"]
        return (tiers[0]["available"], tiers[0]["held"]) == (4, 3)

    await until(moved, PATIENCE_SECONDS, "the figures follow")


async def test_the_catalogue_moves_by_messages_alone_and_is_stale_without_inventory(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=7)
    async with stack.gateway(catalogue_seconds=3600) as slow:
        (event,) = (await stack.call("GET", "/v1/events", gateway=slow)).json["events"]
        await stack.check_out((tier, 3))

        async def moved() -> bool:
            answer = await stack.call("GET", f"/v1/events/{event['id']}", gateway=slow)
            return bool(answer.json["tiers"][0]["held"] == 3 and not answer.json["stale"])

        await until(moved, PATIENCE_SECONDS, "TierChanged moves the figures")
        await stack.call("GET", "/v1/events")
        first = stack.gateways[0]
        first.client._inventory_url = NOWHERE

        async def is_stale() -> bool:
            answer = await stack.call("GET", "/v1/events", gateway=first)
            assert answer.status == 200
            return bool(answer.json["stale"]) and "Warning" in answer.headers

        await until(is_stale, PATIENCE_SECONDS, "what was last known is shown as stale")
        async with stack.gateway(inventory_url=NOWHERE) as fresh:
            assert (await stack.call("GET", "/v1/events", gateway=fresh)).status == 503


async def test_a_token_of_strange_octets_is_only_a_wrong_token(stack: Stack) -> None:
    path = f"/v1/orders/{uuid4()}"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer k2.".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.gateways[0].http_port)
    writer.write(request + b"\xff\xfe\xed\xa0\x80\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401"), answer
    for token in ("k2.%FF%ED%A0%80", "%00", "é", "k2"):
        assert (await stack.call("GET", f"{path}?token={token}")).status == 401
