"""Payments as a process among others: on the broker, and without it."""

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.engines import Engines
from services.payments.service import build
from services.payments.settings import PaymentsSettings
from shared.contracts.payments import PaymentAbandonedV1, PaymentConfirmedV1
from shared.runtime.settings import load_settings
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.integration.payments_support import TOKENS, free_port, passed, settings, till
from tests.integration.sandbox_support import sandbox
from tests.samples import in_seconds, reserved


async def test_a_lone_order_is_paid_on_the_broker_without_any_timer(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    port = free_port()
    async with sandbox(webhook_url=f"http://127.0.0.1:{port}/webhooks/paystack") as paystack:
        service = build(
            settings(
                make_database("payments"),
                amqp_url=engines.amqp_url,
                namespace=namespace,
                http_port=port,
                paystack_url=paystack.url,
                link_wait_seconds=20.0,
            )
        )
        async with Wire(engines.amqp_url, namespace) as wire, running(service), aiohttp.ClientSession() as http:
            heard = await wire.overhear(PaymentConfirmedV1, PaymentAbandonedV1)
            order = reserved(uuid4(), expires_at=in_seconds(900))
            link = f"http://127.0.0.1:{port}/pay/{order.order_id}?token={TOKENS.make('pay', order.order_id)}"
            click = asyncio.create_task(http.get(link, headers={"Accept": "application/json"}))
            await wire.publish(order)
            async with await click as answer:
                page = await answer.json()
            await paystack.settle(page["reference"])
            confirmed = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
            assert isinstance(confirmed, PaymentConfirmedV1)
            over = reserved(uuid4(), expires_at=in_seconds(-1))
            await wire.publish(passed(over))
            abandoned = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
            assert isinstance(abandoned, PaymentAbandonedV1)


async def test_webhooks_are_taken_and_readiness_is_true_without_a_broker(make_database: MakeDatabase) -> None:
    async with till(make_database("payments")) as one:
        async with one.http.get("/readyz") as answer:
            assert answer.status == 200
        await one.webhook("transfer.success", {"id": 1})
        assert await one.bench.value("SELECT outcome FROM receipts") == "kept"


async def test_a_live_key_takes_no_test_money(make_database: MakeDatabase) -> None:
    one = settings(make_database("payments"), paystack_secret_keys="sk_live_boxoffice,sk_test_boxoffice")
    assert one.domain == "live"
    assert one.secret_keys == ("sk_live_boxoffice", "sk_test_boxoffice")


def test_a_missing_or_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYMENTS_ON_FAILURE", "panic")
    monkeypatch.setenv("PAYMENTS_VERIFY_LATE_SECONDS", "1,two")
    assert load_settings(PaymentsSettings) is None
    said = capsys.readouterr().err
    for name in (
        "DATABASE_URL",
        "PAYSTACK_SECRET_KEYS",
        "TOKEN_KEYS",
        "PUBLIC_URL",
        "ON_FAILURE",
        "VERIFY_LATE_SECONDS",
    ):
        assert f"PAYMENTS_{name}" in said
