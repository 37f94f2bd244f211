"""Tests decide what happens at the sandbox, and it says clearly what it cannot do."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from deploy.sandbox.webhooks import sign
from tests.integration.sandbox_support import KEY, receiving, sandbox


async def test_ledger_counts_every_charge_and_refund() -> None:
    async with sandbox() as paystack:
        paid = await paystack.pay("BX-1", 20_000)
        await paystack.pay("BX-2", 30_000)
        await paystack.pay("BX-3", outcome="failed")
        await paystack.initialize("BX-4")
        made = await paystack.call("POST", "/sandbox/refunds", {"reference": "BX-2", "amount": 10_000})
        await paystack.idle()
        ledger = await paystack.ledger()
        first, second = ledger["charges"]
        assert {"id", "reference", "amount", "currency", "status", "paid_at", "email", "refunded"} <= first.keys()
        assert (first["id"], first["refunded"], second["refunded"]) == (paid["id"], 0, 10_000)
        refund = {"id": made["id"], "transaction": second["id"], "reference": "BX-2", "amount": 10_000}
        [listed] = ledger["refunds"]
        by = {"refunded_by": "dashboard@boxoffice.example", "created_at": listed["created_at"]}
        assert listed == {**refund, "currency": "NGN", "status": "processed", **by}
        assert ledger["totals"]["captured"] == 50_000
        assert ledger["totals"]["refunded"] == 10_000


async def test_charge_may_differ_from_what_was_asked() -> None:
    async with sandbox() as paystack:
        await paystack.initialize("BX-1", 20_000)
        await paystack.settle("BX-1", amount=5_000, currency="USD", domain="live")
        data = await paystack.verify("BX-1")
        assert (data["amount"], data["requested_amount"]) == (5_000, 20_000)
        assert (data["currency"], data["domain"]) == ("USD", "live")


async def test_charge_may_come_from_elsewhere() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.call("POST", "/sandbox/transactions/OTHER-1", {"outcome": "success"}, status=404)
        await paystack.settle("OTHER-1", create=True, amount=7_000, email="who@example.com")
        [event] = await shop.wait(1)
        assert (event["data"]["reference"], event["data"]["amount"]) == ("OTHER-1", 7_000)


async def test_late_success_after_abandonment_is_possible_and_a_second_charge_is_not() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1", outcome="failed")
        await paystack.settle("BX-1", outcome="abandoned")
        await paystack.settle("BX-1")
        await paystack.call("POST", "/sandbox/transactions/BX-1", {"outcome": "success"}, status=409)
        await paystack.call("POST", "/sandbox/transactions/BX-1", {"outcome": "failed"}, status=409)
        assert (await paystack.ledger())["totals"]["captured"] == 20_000


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/sandbox/transactions/BX-1", {}, "outcome"),
        ("/sandbox/transactions/BX-1", {"outcome": "maybe"}, "outcome"),
        ("/sandbox/transactions/BX-1", {"outcome": "success", "amount": "7"}, "amount"),
        ("/sandbox/transactions/BX-1", {"outcome": "success", "webhooks": -1}, "webhooks"),
        ("/sandbox/transactions/BX-1", {"outcome": "success", "currency": "XXX"}, "currency"),
        ("/sandbox/transactions/BX-1", {"outcome": "success", "card": "4111"}, "card"),
        ("/sandbox/transactions/BX-1", {"outcome": "success", "wehbooks": 1}, "wehbooks"),
        ("/sandbox/faults", {"endpoints": ["initialise"]}, "initialise"),
        ("/sandbox/faults", {"latency_seconds": -1}, "latency_seconds"),
        ("/sandbox/refunds", {}, "reference"),
        ("/sandbox/disputes", {"reference": "BX-1", "category": "anger"}, "category"),
        ("/sandbox/webhooks/resend", {"reference": "BX-1", "copies": 0}, "copies"),
    ],
)
async def test_wrong_control_is_named_and_changes_nothing(path: str, body: dict[str, Any], names: str) -> None:
    async with sandbox() as paystack:
        await paystack.initialize("BX-1")
        assert names in (await paystack.call("POST", path, body, status=400))["message"]
        assert (await paystack.verify("BX-1"))["status"] == "abandoned"
        assert (await paystack.ledger())["charges"] == []


async def test_down_answers_503_and_comes_back() -> None:
    async with sandbox() as paystack:
        await paystack.call("POST", "/sandbox/faults", {"down": True})
        async with paystack.http.get("/transaction/verify/x") as answer:
            assert answer.status == 503
            assert answer.content_type == "text/html"
        await paystack.call("GET", "/sandbox/ledger")
        await paystack.call("DELETE", "/sandbox/faults")
        await paystack.initialize("BX-1")


async def test_next_calls_of_one_endpoint_fail_and_change_nothing() -> None:
    async with sandbox() as paystack:
        await paystack.call("POST", "/sandbox/faults", {"fail_next": 2, "endpoints": ["initialize"]})
        body = {"email": "a@b.co", "amount": 5_000, "reference": "BX-1"}
        for _ in range(2):
            async with paystack.http.post("/transaction/initialize", json=body) as answer:
                assert (answer.status, answer.content_type) == (502, "text/html")
            await paystack.call("GET", "/transaction/verify/BX-1", status=400)
        await paystack.call("POST", "/transaction/initialize", body)
        assert (await paystack.call("GET", "/sandbox/calls"))["initialize"]["answers"] == {"502": 2, "200": 1}


@pytest.mark.parametrize(("fault", "exists"), [("timeout_after_charge", True), ("timeout_before_charge", False)])
async def test_call_times_out_after_or_before_it_took_effect(fault: str, exists: bool) -> None:
    async with sandbox() as paystack:
        await paystack.call("POST", "/sandbox/faults", {fault: 1})
        await paystack.call("GET", "/transaction")
        body = {"email": "a@b.co", "amount": 5_000, "reference": "BX-1"}
        with pytest.raises(TimeoutError):
            await paystack.call("POST", "/transaction/initialize", body, timeout=aiohttp.ClientTimeout(total=0.2))
        await paystack.call("GET", "/transaction/verify/BX-1", status=200 if exists else 400)


async def test_held_call_is_let_go_without_an_answer_when_faults_are_cleared() -> None:
    async with sandbox() as paystack:
        await paystack.call("POST", "/sandbox/faults", {"timeout_after_charge": True, "endpoints": ["create_refund"]})
        await paystack.pay("BX-1")
        held = asyncio.create_task(paystack.call("POST", "/refund", {"transaction": "BX-1"}))
        async with asyncio.timeout(10):
            while not (await paystack.ledger())["refunds"]:
                pass
        await paystack.call("DELETE", "/sandbox/faults")
        with pytest.raises(aiohttp.ClientError):
            await held
        assert len((await paystack.ledger())["refunds"]) == 1


async def test_what_a_slow_call_did_is_seen_before_its_answer() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.call("POST", "/sandbox/faults", {"latency_seconds": 30, "endpoints": ["initialize"]})
        slow = asyncio.create_task(paystack.initialize("BX-1"))
        async with asyncio.timeout(10):
            while True:
                async with paystack.http.get("/transaction/verify/BX-1") as answer:
                    if answer.status == 200:
                        break
        await paystack.settle("BX-1")
        await shop.wait(1)
        assert not slow.done()
        await paystack.call("DELETE", "/sandbox/faults")
        assert (await slow)["reference"] == "BX-1"


async def test_limit_can_be_set_while_it_runs() -> None:
    async with sandbox() as paystack:
        await paystack.call("POST", "/sandbox/faults", {"rate_limit_per_minute": 1})
        await paystack.call("GET", "/transaction")
        await paystack.call("GET", "/transaction", status=429)
        await paystack.call("POST", "/sandbox/faults", {"rate_limit_per_minute": 0})
        await paystack.call("GET", "/transaction")


async def test_refund_is_stepped_by_hand() -> None:
    async with sandbox(refund_seconds=3_600) as paystack:
        await paystack.pay("BX-1")
        made = await paystack.call("POST", "/sandbox/refunds", {"reference": "BX-1"})
        seen = []
        for status in ("processing", "failed", "processed"):
            await paystack.call("POST", f"/sandbox/refunds/{made['id']}", {"status": status})
            seen.append((await paystack.verify("BX-1"))["status"])
        assert seen == ["reversal-pending", "success", "reversed"]
        await paystack.call("POST", "/sandbox/refunds/5", {"status": "failed"}, status=404)


async def test_empty_balance_refuses_refunds() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1")
        await paystack.call("POST", "/sandbox/faults", {"insufficient_balance": True})
        answer = await paystack.call("POST", "/refund", {"transaction": "BX-1"}, status=400)
        assert answer["code"] == "insufficient_balance"


async def test_idle_says_when_it_is_not() -> None:
    async with sandbox(refund_seconds=3_600) as paystack:
        await paystack.pay("BX-1")
        await paystack.call("POST", "/sandbox/refunds", {"reference": "BX-1"})
        assert (await paystack.call("GET", "/sandbox/idle?timeout_seconds=0.01", status=408))["idle"] is False
        await paystack.call("GET", "/sandbox/idle?timeout_seconds=x", status=400)


async def test_the_ledger_states_what_each_dispute_took() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1")
        opened = await paystack.call("POST", "/sandbox/disputes", {"reference": "BX-1", "amount": 9_000})
        [dispute] = (await paystack.ledger())["disputes"]
        assert (dispute["amount"], dispute["currency"], dispute["charged_back"]) == (9_000, "NGN", 0)
        answer = {"resolution": "merchant-accepted", "message": "ok", "refund_amount": 9_000, "uploaded_filename": "x"}
        await paystack.call("PUT", f"/dispute/{opened['id']}/resolve", answer)
        [dispute] = (await paystack.ledger())["disputes"]
        assert (dispute["status"], dispute["charged_back"]) == ("resolved", 9_000)
        assert dispute["resolved_at"] >= dispute["created_at"]


async def test_calls_are_counted_in_windows_of_any_length() -> None:
    async with sandbox() as paystack:
        for _ in range(3):
            await paystack.call("GET", "/transaction")
        seen = (await paystack.call("GET", "/sandbox/calls?window_seconds=3600"))["list_transactions"]
        assert (seen["max_in_60_seconds"], seen["max_in_window"]) == (3, 3)
        for wrong in ("0", "x", "-1", "nan"):
            await paystack.call("GET", f"/sandbox/calls?window_seconds={wrong}", status=400)


@pytest.mark.parametrize("pending", ["old_key", "new_key"])
async def test_a_rolled_key_is_asked_for_and_signs(pending: str) -> None:
    new = "sk_test_the_next_one"
    async with receiving() as shop, sandbox(webhook_url=shop.url, webhook_retry_seconds=(0.2,)) as paystack:
        shop.codes = [503]
        await paystack.pay("BX-1")
        await shop.wait(1)
        await paystack.call("POST", "/sandbox/secret", {"secret_key": new, "pending_webhooks": pending})
        await paystack.call("GET", "/transaction/verify/BX-1", status=401)
        headers = {"Authorization": f"Bearer {new}"}
        await paystack.call("GET", "/transaction/verify/BX-1", headers=headers)
        await paystack.call("POST", "/sandbox/webhooks", {"event": "transfer.success"})
        await shop.wait(3)
        keys = {
            (json.loads(body)["event"], key)
            for body, head in zip(shop.bodies[1:], shop.headers[1:], strict=True)
            for key in (KEY, new)
            if sign(key, body) == head["x-paystack-signature"]
        }
        assert keys == {("charge.success", KEY if pending == "old_key" else new), ("transfer.success", new)}


async def test_a_customer_who_bears_the_fee_is_charged_it_on_top() -> None:
    async with sandbox(customer_bears_fees=True) as paystack:
        await paystack.pay("BX-1", 300_000)
        data = await paystack.verify("BX-1")
        assert (data["requested_amount"], data["amount"] - data["fees"]) == (300_000, 300_000)
        assert data["fees"] > 0
