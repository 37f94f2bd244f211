"""The pages as a browser without scripts meets them: what they say, what they let through, what they keep out."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from deploy.local.engines import Engines
from shared.contracts.orders import OrderPaidV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire
from tests.integration.gateway_support import NOWHERE, Answer, Stack, make_stack
from tests.samples import EVENT, confirmed, issued, reference_of
from tests.waiting import until

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def stack(engines: Engines, namespace: str, make_database: MakeDatabase) -> AsyncIterator[Stack]:
    async with (
        make_stack(
            engines.amqp_url,
            namespace,
            orders_database=make_database("orders"),
            inventory_database=make_database("inventory"),
        ) as one,
        one.gateway(catalogue_seconds=0.001),
    ):
        yield one


async def page_of(stack: Stack, order: Any, more: str = "") -> Answer:
    return await stack.call("GET", f"/orders/{order['order_id']}?token={order['order_token']}{more}")


async def buy(stack: Stack, tier: UUID, quantity: str = "1", *, email: str = "ada@example.com", **more: str) -> Answer:
    form = {"event": str(EVENT.id), "email": email, f"quantity-{tier}": quantity, **more}
    return await stack.call("POST", "/", data=form)


async def test_home_lists_events_with_prices_and_what_is_left(stack: Stack) -> None:
    tier = await stack.add_tier(capacity=3, name="VIP", price_kobo=1_250_050)
    await stack.add_tier(capacity=0, name="Gone")
    page = await stack.call("GET", "/")
    assert page.status == 200
    for text in ("Night of the Long Drums", "Freedom Park, Lagos", "₦12,500.50", "3 left", "Sold out"):
        assert text in page.text
    assert f'<label for="quantity-{tier}">VIP</label>' in page.text
    keys = re.findall(r'name="key" value="(\w{32})"', page.text)
    assert keys
    assert (await stack.call("GET", "/")).text.count(keys[0]) == 0


async def test_what_an_organiser_writes_is_text_and_never_markup(stack: Stack) -> None:
    tier = await stack.add_tier(name=f"VIP {SCRIPT}", title=f"Night {SCRIPT}")
    order = (await stack.check_out((tier, 1), email="x'onload=alert@example.com")).json
    for page in (await stack.call("GET", "/"), await page_of(stack, order), await page_of(stack, order, "&part=state")):
        assert SCRIPT not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    reflected = await buy(stack, tier, "0", email=f'"><{SCRIPT}')
    assert SCRIPT not in reflected.text


async def test_pages_send_no_address_on_and_run_nothing_foreign(stack: Stack) -> None:
    order = (await stack.check_out((await stack.add_tier(), 1))).json
    for page in (await stack.call("GET", "/"), await page_of(stack, order), await stack.call("GET", "/orders/nothing")):
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script>|<style| style=| on[a-z]+=", page.text)
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert not address.startswith("http") or address.startswith("https://pay.example/"), address
        for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            file = await stack.call("GET", address)
            assert file.status == 200
            assert "immutable" in file.headers["Cache-Control"]
    assert (await stack.call("GET", "/static/../settings.py")).status == 404
    assert (await stack.call("GET", "/static/%2e%2e%2fsettings.py")).status == 404


async def test_a_mistyped_address_is_a_page_for_people_and_a_document_for_programs(stack: Stack) -> None:
    page = await stack.call("GET", "/nothing", headers={"Accept": "text/html,*/*"})
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in page.text
    for path in ("/nothing", "/v1/nothing"):
        answer = await stack.call("GET", path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert (await stack.call("GET", "/favicon.ico")).headers["Content-Type"] == "image/svg+xml"


async def test_a_form_without_scripts_buys_once_however_often_it_is_sent(stack: Stack) -> None:
    tier = await stack.add_tier()
    home = await stack.call("GET", "/")
    key = re.findall(r'name="key" value="(\w+)"', home.text)[0]
    answers = [await buy(stack, tier, "2", key=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert await stack.taken(tier) == 2
    page = await stack.call("GET", answers[0].headers["Location"])
    assert page.status == 200
    assert "Your places are held for you" in page.text


async def test_a_form_that_cannot_be_taken_says_why_and_keeps_what_was_entered(stack: Stack) -> None:
    tier, few = await stack.add_tier(), await stack.add_tier(capacity=1)
    cases = (
        (await buy(stack, tier, "0"), 422, "Choose at least one ticket"),
        (await buy(stack, tier, "2", email="ada"), 422, "Enter an e-mail address"),
        (await buy(stack, tier, "-2"), 422, "Something in the form"),
        (await buy(stack, tier, "many"), 422, "Something in the form"),
        (await buy(stack, tier, "11"), 409, "more than one order may have"),
        (await buy(stack, few, "2"), 409, "not enough places left"),
        (await buy(stack, uuid4()), 422, "no longer exist"),
    )
    for page, status, text in cases:
        assert page.status == status, text
        assert text in page.text
        assert 'role="alert"' in page.text
    assert 'value="2"' in cases[1][0].text
    assert 'value="ada"' in cases[1][0].text
    assert (await stack.call("POST", "/", json={})).status == 415
    for charset in ("nonsense", "ascii"):
        kind = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
        assert (await stack.call("POST", "/", data=b"email=\xff", headers=kind)).status == 400
    assert await stack.count_orders() == 3


async def test_the_orders_page_follows_the_order_to_its_tickets(stack: Stack) -> None:
    order = (await stack.check_out((await stack.add_tier(name="VIP"), 2))).json
    held = await page_of(stack, order)
    assert "Pay now: ₦10,000" in held.text
    assert order["payment_url"] in held.text
    assert f'data-expires="{order["expires_at"][:16]}' in held.text
    assert "Cancel this order" in held.text
    order_id = UUID(order["order_id"])
    async with Wire(stack.amqp_url, stack.namespace) as wire:
        heard = await wire.overhear(OrderPaidV1)
        await wire.publish(confirmed(order_id))
        await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
        await wire.publish(issued(order_id))

        async def has_codes() -> bool:
            return f"{reference_of(order_id)}-002-f3a2b1c0" in (await page_of(stack, order)).text

        await until(has_codes, PATIENCE_SECONDS, "the codes are on the page")
    page = await page_of(stack, order)
    # The script compares it with the stream's, or what happens between drawing and listening would never be shown.
    known = await stack.call("GET", f"/v1/orders/{order_id}?token={order['order_token']}")
    assert f'data-version="{known.json["version"]}"' in page.text
    assert "Here are your tickets" in page.text
    assert "Pay now" not in page.text
    assert "Cancel this order" not in page.text
    fragment = await page_of(stack, order, "&part=state")
    assert f"{reference_of(order_id)}-001-f3a2b1c0" in fragment.text
    assert "<html" not in fragment.text
    path = f"/v1/orders/{order_id}/tickets/1/qr.svg?token={order['order_token']}"
    image = await stack.call("GET", path)
    assert (image.status, image.headers["Content-Type"]) == (200, "image/svg+xml")
    assert image.text.startswith("<?xml")
    assert "<svg" in image.text
    assert (await stack.call("GET", path.replace("/1/", "/3/"))).status == 404
    assert (await stack.call("GET", path.partition("?")[0])).status == 401


async def test_an_order_is_cancelled_without_scripts(stack: Stack) -> None:
    order = (await stack.check_out((await stack.add_tier(), 2))).json
    path = f"/orders/{order['order_id']}/cancel"
    assert (await stack.call("POST", path)).status == 401
    answer = await stack.call("POST", f"{path}?token={order['order_token']}")
    assert answer.status == 303
    page = await stack.call("GET", answer.headers["Location"])
    assert "This order was cancelled" in page.text


async def test_a_wrong_link_and_a_service_that_is_away_are_explained(stack: Stack) -> None:
    order = (await stack.check_out((await stack.add_tier(), 1))).json
    wrong = await stack.call("GET", f"/orders/{order['order_id']}?token=k2.wrong")
    assert (wrong.status, wrong.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert "This link is not complete" in wrong.text
    async with stack.gateway(orders_url=NOWHERE, inventory_url=NOWHERE) as cut_off:
        path = f"/orders/{order['order_id']}?token={order['order_token']}"
        for where in (path, "/"):
            page = await stack.call("GET", where, gateway=cut_off)
            assert page.status == 503
            assert "this page tries again by itself" in page.text
            assert page.headers["Retry-After"]
