"""From the click on the link to the one charge: what a buyer, Paystack and its webhooks can do to an open order."""

import asyncio

import pytest

from shared.contracts.payments import PaymentConfirmedV1
from tests.databases import MakeDatabase
from tests.integration.payments_support import STOREFRONT, TOKENS, till


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


async def test_webhooks_redirect_and_double_click_at_once_make_one_payment(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        first, second = await asyncio.gather(one.click(order.order_id), one.click(order.order_id))
        assert first == second
        assert first["reference"].startswith("bx-")
        assert await one.bench.value("SELECT count(*) FROM attempts") == 1
        await one.paystack.settle(first["reference"], webhooks=5)
        targets = await asyncio.gather(*(one.come_back(first["reference"]) for _ in range(3)))
        assert set(targets) == {f"{STOREFRONT}/orders/{order.order_id}?token={TOKENS.make('order', order.order_id)}"}
        await one.paystack.idle()
        assert await one.bench.value("SELECT count(*) FROM receipts WHERE outcome = 'confirmed'") == 5
        assert await one.bench.value("SELECT count(*) FROM charges") == 1
        (confirmed,) = await one.given_out(PaymentConfirmedV1)
        (charge,) = (await one.paystack.ledger())["charges"]
        assert confirmed.charge_id == str(charge["id"])
        assert confirmed.amount_kobo == charge["amount"] == order.total_kobo
        assert await one.click(order.order_id, status=410)
