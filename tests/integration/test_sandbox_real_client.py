"""A client from PyPI runs its whole cycle against the sandbox; any model mismatch it logs is a failure."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pypaystack2 import AsyncPaystackClient
from pypaystack2.base_clients import AbstractAPIClient
from pypaystack2.enums import Currency, DisputeStatus, Resolution, TransactionStatus, WebhookDeliveryStatus
from pypaystack2.models.payload_models import RefundAccount

from tests.integration.sandbox_support import KEY, receiving, sandbox


@pytest.fixture(autouse=True)
def no_mismatch(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail on anything the client logs: that is how it tells that an answer does not fit its models."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with caplog.at_level(logging.WARNING, "pypaystack2"):
        yield
    assert [record.getMessage() for record in caplog.records if record.name.startswith("pypaystack2")] == []


def client_of(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Point the client at the sandbox; it has no setting for that. Its overloads leave a type checker no answer."""
    monkeypatch.setattr(AbstractAPIClient, "_BASE_URL", url)
    return AsyncPaystackClient(secret_key=KEY)


async def test_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sandbox() as paystack:
        client = client_of(paystack.url, monkeypatch)
        begun = await client.transactions.initialize(
            amount=20_000, email="ada@example.com", reference="BX-1", currency=Currency.NGN, metadata={"seats": 2}
        )
        assert begun.status
        assert begun.data is not None
        assert begun.data.reference == "BX-1"
        open_one = await client.transactions.verify("BX-1")
        assert open_one.data is not None
        assert (open_one.data.status, open_one.data.paid_at) == ("abandoned", None)
        settled = await paystack.settle("BX-1")
        paid = await client.transactions.verify("BX-1")
        assert paid.data is not None
        assert (paid.data.id, paid.data.status, paid.data.amount) == (settled["id"], "success", 20_000)
        fetched = await client.transactions.get_transaction(settled["id"])
        assert fetched.data == paid.data
        for status in (None, TransactionStatus.SUCCESS):
            listed = await client.transactions.get_transactions(status=status, start_date="2016-09-21", page=1)
            assert listed.data == [paid.data]
        totals = await client.transactions.totals()
        assert totals.data is not None
        assert totals.data.total_volume == 20_000
        timeline = await client.transactions.get_timeline("BX-1")
        assert timeline.data is not None
        assert timeline.data.success


async def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sandbox() as paystack:
        client = client_of(paystack.url, monkeypatch)
        await client.transactions.initialize(amount=20_000, email="ada@example.com", reference="BX-1")
        again = await client.transactions.initialize(amount=20_000, email="ada@example.com", reference="BX-1")
        assert (again.status_code, again.status, again.code) == (400, False, "duplicate_reference")
        unknown = await client.transactions.verify("nobody")
        assert (unknown.status_code, unknown.code, unknown.data) == (400, "transaction_not_found", None)
        await paystack.call("POST", "/sandbox/faults", {"fail_next": 1})
        broken = await client.transactions.verify("BX-1")
        assert (broken.status_code, broken.status, broken.data) == (502, False, None)


async def test_refunds(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sandbox() as paystack:
        client = client_of(paystack.url, monkeypatch)
        settled = await paystack.pay("BX-1", card="4084080000671902")
        asked = await client.refunds.create("BX-1", amount=20_000, currency=Currency.NGN, merchant_note="late")
        assert asked.data is not None
        assert (asked.data.status, asked.data.amount, asked.message) == (
            "pending",
            20_000,
            "Refund has been queued for processing",
        )
        await paystack.idle()
        waiting = await client.refunds.get_refund(str(asked.data.id))
        assert waiting.data is not None
        assert (waiting.data.status, waiting.data.transaction) == ("needs-attention", settled["id"])
        account = RefundAccount(currency=Currency.NGN, account_number="1234567890", bank_id="9")
        retried = await client.refunds.retry_refund(asked.data.id, account)
        assert retried.data is not None
        assert retried.data.status == "processing"
        await paystack.idle()
        listed = await client.refunds.get_refunds(transaction=str(settled["id"]))
        assert listed.data is not None
        assert [row.status for row in listed.data] == ["processed"]
        over = await client.refunds.create("BX-1")
        assert (over.status_code, over.code) == (400, "transaction_reversed")


async def test_disputes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sandbox() as paystack:
        client = client_of(paystack.url, monkeypatch)
        settled = await paystack.pay("BX-1")
        opened = await paystack.call("POST", "/sandbox/disputes", {"reference": "BX-1"})
        listed = await client.disputes.get_disputes("2016-09-21", "2116-09-21")
        fetched = await client.disputes.get_dispute(opened["id"])
        of_one = await client.disputes.get_transaction_disputes(settled["id"])
        assert fetched.data is not None
        assert fetched.data.status == DisputeStatus.AWAITING_MERCHANT_FEEDBACK
        assert listed.data == of_one.data == [fetched.data]
        updated = await client.disputes.update_dispute(opened["id"], 5_000, None)
        assert updated.data is not None
        assert updated.data.refund_amount == 5_000
        upload = await client.disputes.get_upload_url(opened["id"], "ticket.pdf")
        assert upload.data is not None
        resolved = await client.disputes.resolve_dispute(
            opened["id"], Resolution.MERCHANT_ACCEPTED, "true", 5_000, upload.data.file_name
        )
        assert resolved.data is not None
        assert (resolved.data.status, resolved.data.transaction.status) == (DisputeStatus.RESOLVED, "reversed")


async def test_webhooks_and_their_events(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        client = client_of(paystack.url, monkeypatch)
        settled = await paystack.pay("BX-1")
        await paystack.idle()
        assert client.is_verified_webhook_payload(shop.bodies[0], shop.headers[0]["x-paystack-signature"])
        listed = await client.webhook_events.all(status=WebhookDeliveryStatus.DELIVERED, limit=10)
        assert listed.data is not None
        [event] = listed.data
        found = await client.webhook_events.lookup(str(settled["id"]))
        assert found.data is not None
        assert (found.data.id, found.data.category_row_id) == (event.id, settled["id"])
        fetched = await client.webhook_events.get(event.id)
        assert fetched.data == found.data
        resent = await client.webhook_events.resend([event.id])
        assert resent.status_code == 202
        await shop.wait(2)
        assert shop.bodies[0] == shop.bodies[1]
