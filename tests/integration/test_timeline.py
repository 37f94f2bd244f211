"""What happened to an order is told by each service from its own rows, with the times at which it happened."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from deploy.local.databases import Templates
from deploy.local.engines import Engines
from shared.messaging.topology import durable_consumers
from tests.databases import fresh_databases
from tests.harness import delete_namespace, new_namespace
from tests.system import SECRETS, System, make_wiring, system

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(engines: Engines, templates: Templates) -> AsyncIterator[System]:
    namespace = new_namespace()
    with fresh_databases(templates) as make_database:
        async with system(make_wiring(engines.amqp_url, namespace, make_database)) as one:
            yield one
    await delete_namespace(engines.amqp_url, namespace)


async def tell(whole: System, service: str, order_id: object, token: str = SECRETS.operator_token) -> list[str]:
    url = f"{whole.url(service)}/v1/admin/orders/{order_id}/timeline"
    async with whole.session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 200, await response.text()
        entries = (await response.json())["entries"]
    moments = [entry["at"] for entry in entries]
    assert moments == sorted(moments)
    return [entry["what"] for entry in entries]


async def test_a_paid_and_refunded_order_is_told_from_checkout_to_mail(whole: System) -> None:
    tier = await whole.tier(2)
    order = await whole.shop.checkout((tier, 2), email="told@example.com", prefer="wait=10")
    await whole.shop.pay(order)
    await whole.shop.until(order.order_id, order.token, {"paid"}, 30, tickets=True)
    await whole.mailed("told@example.com")
    await whole.organise("POST", f"/v1/admin/orders/{order.order_id}/refund", {"why": "rain"}, service="orders")
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 30)
    await whole.mailed("told@example.com", 3)
    await whole.quiet()
    assert await tell(whole, "orders", order.order_id) == [
        "the order was made",
        "the order is paid",
        "the order is refunding",
        "the order is refunded",
    ]
    assert await tell(whole, "inventory", order.order_id) == ["places were held", "its places are sold"]
    # Paystack sends webhooks about the refund too.
    assert list(dict.fromkeys(await tell(whole, "payments", order.order_id))) == [
        "the payment was made ready",
        "the buyer went to pay",
        "Paystack opened its page",
        "a webhook came",
        "a charge was entered",
        "no page to pay is handed out from here on",
        "a refund was asked for",
        "Paystack took the refund",
        "the refund is processed",
    ]
    assert await tell(whole, "reaper", order.order_id) == ["the deadline was noted", "the time to pay is over"]
    assert await tell(whole, "ticketing", order.order_id) == [
        "tickets were issued",
        "tickets were to be revoked",
        "tickets were revoked",
    ]
    mails = await tell(whole, "mailer", order.order_id)
    assert mails.count("the mail is sent") == 3


async def test_places_that_came_back_are_told(whole: System) -> None:
    tier = await whole.tier(1)
    order = await whole.shop.checkout((tier, 1), prefer="wait=10")
    await whole.shop.cancel(order.order_id, order.token)
    await whole.shop.until(order.order_id, order.token, {"cancelled"}, 30)
    await whole.quiet()
    assert (await tell(whole, "orders", order.order_id))[-1] == "the order is cancelled"
    assert (await tell(whole, "inventory", order.order_id))[-1] == "its places are released"


@pytest.mark.parametrize("service", durable_consumers())
async def test_an_unknown_order_has_no_timeline_and_only_roles_may_ask(whole: System, service: str) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    assert await tell(whole, service, nobody) == []
    assert await tell(whole, service, nobody, SECRETS.organiser_token) == []
    url = f"{whole.url(service)}/v1/admin/orders/{nobody}/timeline"
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {SECRETS.gate_token}"}, 403)):
        async with whole.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as response:
            assert response.status == status
