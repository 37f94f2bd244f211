"""The sandbox answers as the published facts about Paystack say."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest

from tests.integration.sandbox_support import Sandbox, sandbox

VERIFY_KEYS = {
    "id",
    "domain",
    "status",
    "reference",
    "receipt_number",
    "amount",
    "message",
    "gateway_response",
    "paid_at",
    "created_at",
    "channel",
    "currency",
    "ip_address",
    "metadata",
    "log",
    "fees",
    "fees_split",
    "authorization",
    "customer",
    "plan",
    "split",
    "order_id",
    "paidAt",
    "createdAt",
    "requested_amount",
    "pos_transaction_data",
    "source",
    "fees_breakdown",
    "connect",
    "transaction_date",
    "plan_object",
    "subaccount",
}


async def test_initialise_gives_a_page_and_verify_says_abandoned() -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1")
        assert made["authorization_url"] == f"{paystack.url}/checkout/{made['access_code']}"
        data = await paystack.verify("BX-1")
        assert data.keys() >= VERIFY_KEYS
        assert (data["status"], data["paid_at"], data["authorization"]) == ("abandoned", None, {})
        assert "authorization_url" not in data


async def test_reference_is_made_when_none_is_given() -> None:
    async with sandbox() as paystack:
        answer = await paystack.call("POST", "/transaction/initialize", {"email": "a@b.co", "amount": 5000})
        assert (await paystack.verify(answer["data"]["reference"]))["amount"] == 5000


async def test_reference_is_used_once_for_ever() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1")
        body = {"email": "b@example.com", "amount": 9_900, "reference": "BX-1"}
        assert await paystack.call("POST", "/transaction/initialize", body, status=400) == {
            "status": False,
            "message": "Duplicate Transaction Reference",
            "meta": {"nextStep": "Try and create the Transaction or Charge with a new reference"},
            "type": "validation_error",
            "code": "duplicate_reference",
            "errorCodeMappingNotFound": False,
        }


async def test_twenty_at_once_with_one_reference_make_one_transaction() -> None:
    async with sandbox() as paystack:
        body = {"email": "a@b.co", "amount": 5_000, "reference": "BX-1"}

        async def contend() -> int:
            async with paystack.http.post("/transaction/initialize", json=body) as answer:
                return answer.status

        statuses = await asyncio.gather(*(contend() for _ in range(20)))
        assert sorted(statuses) == [200] + [400] * 19


@pytest.mark.parametrize("http_status", [400, 404])
async def test_unknown_reference_answers_as_the_switch_says(http_status: int) -> None:
    async with sandbox(unknown_reference_status=http_status) as paystack:
        answer = await paystack.call("GET", "/transaction/verify/nobody", status=http_status)
        assert answer["message"] == "Transaction reference not found."
        assert answer["code"] == "transaction_not_found"


@pytest.mark.parametrize("header", [None, "Bearer sk_test_wrong", "Basic sk_test_boxoffice", "Bearer", "Bearer ü"])
async def test_wrong_key_is_refused(header: str | None) -> None:
    async with sandbox() as paystack, aiohttp.ClientSession(paystack.url) as stranger:
        headers = {} if header is None else {"Authorization": header}
        for method, path in (("GET", "/transaction/verify/x"), ("POST", "/refund"), ("GET", "/dispute")):
            async with stranger.request(method, path, headers=headers) as answer:
                assert answer.status == 401
                assert await answer.json() == {
                    "status": False,
                    "message": "Invalid key",
                    "meta": {"nextStep": "Ensure that you provide the correct authorization key for the request"},
                    "type": "validation_error",
                    "code": "invalid_Key",
                }


async def test_form_bodies_are_read_like_json() -> None:
    async with sandbox() as paystack:
        form = {"email": "a@b.co", "amount": "5000", "reference": "BX-1"}
        async with paystack.http.post("/transaction/initialize", data=form) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"amount": NaN}'])
async def test_malformed_body_is_refused_and_the_next_good_one_goes_through(body: bytes) -> None:
    async with sandbox() as paystack:
        async with paystack.http.post("/transaction/initialize", data=body) as answer:
            assert answer.status == 400
            assert (await answer.json())["status"] is False
        await paystack.initialize("BX-1")


async def test_body_over_one_mebibyte_is_refused() -> None:
    async with sandbox() as paystack:
        async with paystack.http.post("/transaction/initialize", data=io.BytesIO(b"x" * (1024 * 1024 + 1))) as answer:
            assert answer.status == 413
            assert (await answer.json())["status"] is False
        await paystack.initialize("BX-1")


async def test_unknown_address_and_wrong_method_answer_in_json() -> None:
    async with sandbox() as paystack:
        assert (await paystack.call("GET", "/nothing", status=404))["status"] is False
        assert (await paystack.call("DELETE", "/refund", status=405))["status"] is False


async def test_paid_transaction_has_fee_card_and_times() -> None:
    async with sandbox() as paystack:
        settled = await paystack.pay("BX-1", 250_000)
        data = await paystack.verify("BX-1")
        assert data["id"] == settled["id"] > 2**53
        assert (data["status"], data["fees"], data["requested_amount"]) == ("success", 13_750, 250_000)
        assert data["paid_at"] == data["paidAt"] == settled["paid_at"]
        assert data["authorization"]["last4"] == "4081"
        assert data["log"]["success"] is True


async def test_transaction_is_fetched_by_id_with_and_without_slash() -> None:
    async with sandbox() as paystack:
        settled = await paystack.pay("BX-1")
        for ending in ("", "/"):
            answer = await paystack.call("GET", f"/transaction/{settled['id']}{ending}")
            assert answer["data"]["reference"] == "BX-1"
        assert (await paystack.call("GET", "/transaction/5", status=404))["code"] == "transaction_not_found"


async def test_list_is_newest_first_and_filters() -> None:
    async with sandbox() as paystack:
        for number in range(5):
            await paystack.pay(f"BX-{number}", 10_000 + number)
        await paystack.initialize("BX-open")
        listed = await paystack.call("GET", "/transaction/?perPage=2&page=2")
        assert [row["reference"] for row in listed["data"]] == ["BX-3", "BX-2"]
        assert (listed["meta"]["total"], listed["meta"]["pageCount"]) == (6, 3)
        paid = await paystack.call("GET", "/transaction?status=success")
        assert paid["meta"]["total"] == 5
        assert (await paystack.call("GET", "/transaction?amount=10002"))["meta"]["total"] == 1
        customer = paid["data"][0]["customer"]
        assert (await paystack.call("GET", f"/transaction?customer={customer['id']}"))["meta"]["total"] == 6
        assert (await paystack.call("GET", f"/transaction?customer={customer['customer_code']}"))["meta"]["total"] == 0
        at = listed["data"][0]["created_at"]
        exactly = await paystack.call("GET", f"/transaction?from={at}&to={at}")
        assert "BX-3" in [row["reference"] for row in exactly["data"]]
        assert (await paystack.call("GET", "/transaction?to=2016-09-21"))["meta"]["total"] == 0
        assert (await paystack.call("GET", "/transaction?from=2016-09-24T00:00:05.000Z"))["meta"]["total"] == 6
        await paystack.call("GET", "/transaction?status=odd", status=400)
        await paystack.call("GET", "/transaction?perPage=5000", status=400)


@pytest.mark.parametrize("settings", [{"list_meta": "cursor"}, {}])
async def test_cursor_meta_walks_every_row_once(settings: dict[str, Any]) -> None:
    async with sandbox(**settings) as paystack:
        for number in range(5):
            await paystack.initialize(f"BX-{number}")
        asked = "" if settings else "&use_cursor=true"
        seen: list[str] = []
        following = ""
        while True:
            page = await paystack.call("GET", f"/transaction?perPage=2{asked}{following}")
            seen += [row["reference"] for row in page["data"]]
            assert page["meta"].keys() == {"next", "previous", "perPage"}
            if page["meta"]["next"] is None:
                break
            following = f"&next={page['meta']['next']}"
        assert seen == [f"BX-{number}" for number in range(4, -1, -1)]


async def test_totals_sum_what_was_captured() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1", 10_000)
        await paystack.pay("BX-2", 30_000)
        await paystack.initialize("BX-3", 70_000)
        data = (await paystack.call("GET", "/transaction/totals/?perPage=50"))["data"]
        assert (data["total_transactions"], data["total_volume"]) == (2, 40_000)
        assert data["total_volume_by_currency"] == [{"currency": "NGN", "amount": 40_000}]


async def test_limit_answers_429_with_the_headers_of_paystack() -> None:
    async with sandbox(rate_limit_per_minute="3") as paystack:
        for _ in range(3):
            await paystack.call("GET", "/transaction")
        async with paystack.http.get("/transaction") as answer:
            assert answer.status == 429
            assert answer.headers["x-ratelimit-limit"] == "3"
            assert answer.headers["x-ratelimit-remaining"] == "0"
            assert 0 < int(answer.headers["x-ratelimit-reset"]) <= 60
            assert "Retry-After" not in answer.headers
            assert (await answer.json())["code"] == "rate_limited"
        calls = await paystack.call("GET", "/sandbox/calls")
        assert calls["list_transactions"] == {"count": 4, "max_in_60_seconds": 4, "answers": {"200": 3, "429": 1}}


async def refunded(paystack: Sandbox, reference: str, **body: Any) -> Any:
    """Ask for a refund and return its data."""
    return (await paystack.call("POST", "/refund", {"transaction": reference, **body}))["data"]


async def test_refund_runs_to_its_end_and_the_transaction_follows() -> None:
    async with sandbox(refund_seconds=0.1) as paystack:
        settled = await paystack.pay("BX-1")
        data = await refunded(paystack, "BX-1")
        assert (data["status"], data["amount"], data["transaction"]["id"]) == ("pending", 20_000, settled["id"])
        assert (await paystack.verify("BX-1"))["status"] == "reversal-pending"
        await paystack.idle()
        assert (await paystack.verify("BX-1"))["status"] == "reversed"
        fetched = (await paystack.call("GET", f"/refund/{data['id']}"))["data"]
        assert (fetched["status"], fetched["transaction"]) == ("processed", settled["id"])
        again = await paystack.call("POST", "/refund", {"transaction": "BX-1"}, status=400)
        assert (again["message"], again["type"], again["code"]) == (
            "Transaction has been fully reversed",
            "api_error",
            "transaction_reversed",
        )


async def test_partial_refunds_stop_at_the_whole() -> None:
    async with sandbox() as paystack:
        settled = await paystack.pay("BX-1")
        await refunded(paystack, "BX-1", amount="5000")
        await refunded(paystack, settled["id"], amount=5000, currency="NGN")
        over = await paystack.call("POST", "/refund", {"transaction": "BX-1", "amount": 10_001}, status=400)
        assert over["message"] == "Total refund amount cannot exceed original transaction amount"
        await paystack.idle()
        totals = (await paystack.ledger())["totals"]
        assert (totals["captured"], totals["refunded"], totals["refund_processed"]) == (20_000, 10_000, 10_000)


async def test_refunds_are_listed_by_numeric_id_only() -> None:
    async with sandbox() as paystack:
        settled = await paystack.pay("BX-1")
        await paystack.pay("BX-2")
        made = await refunded(paystack, "BX-1")
        await refunded(paystack, "BX-2")
        listed = await paystack.call("GET", f"/refund?transaction={settled['id']}&perPage=50")
        assert [row["id"] for row in listed["data"]] == [made["id"]]
        assert (await paystack.call("GET", "/refund?transaction=BX-1"))["data"] == []
        assert (await paystack.call("GET", "/refund?currency=NGN"))["meta"]["total"] == 2


async def test_refund_of_a_failing_card_gives_the_money_back_to_the_merchant() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1", card="4084080000671803")
        made = await refunded(paystack, "BX-1")
        await paystack.idle()
        assert (await paystack.call("GET", f"/refund/{made['id']}"))["data"]["status"] == "failed"
        assert (await paystack.verify("BX-1"))["status"] == "success"
        assert (await paystack.ledger())["totals"]["refunded"] == 0


async def test_refund_that_needs_attention_waits_for_bank_details() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1", card="4084080000671902")
        made = await refunded(paystack, "BX-1")
        path = f"/refund/retry_with_customer_details/{made['id']}"
        details = {"currency": "NGN", "account_number": "1234567890", "bank_id": "9"}
        early = await paystack.call("POST", path, {"refund_account_details": details}, status=422)
        assert early["message"] == 'Invalid Refund state, refund status should be "needs-attention"'
        await paystack.idle()
        assert (await paystack.verify("BX-1"))["status"] == "reversal-pending"
        await paystack.call("POST", path, {}, status=400)
        await paystack.call("POST", path, {"refund_account_details": {"currency": "NGN"}}, status=400)
        await paystack.call("POST", path, {"refund_account_details": details})
        await paystack.idle()
        assert (await paystack.call("GET", f"/refund/{made['id']}"))["data"]["status"] == "processed"
        assert (await paystack.verify("BX-1"))["status"] == "reversed"


async def test_refund_of_nothing_is_refused() -> None:
    async with sandbox() as paystack:
        await paystack.initialize("BX-1")
        await paystack.call("POST", "/refund", {"transaction": "BX-1"}, status=400)
        assert (await paystack.call("POST", "/refund", {"transaction": "no"}, status=404))["message"] == (
            "Transaction not found"
        )
        await paystack.call("POST", "/refund", {}, status=400)
        await paystack.call("GET", "/refund/5", status=404)


async def test_disputes_are_listed_answered_and_resolved() -> None:
    async with sandbox() as paystack:
        settled = await paystack.pay("BX-1")
        opened = await paystack.call("POST", "/sandbox/disputes", {"reference": "BX-1", "category": "fraud"})
        path = f"/dispute/{opened['id']}"
        assert (await paystack.call("GET", path))["data"]["status"] == "awaiting-merchant-feedback"
        assert len((await paystack.call("GET", "/dispute?status=awaiting-merchant-feedback"))["data"]) == 1
        assert len((await paystack.call("GET", f"/dispute/transaction/{settled['id']}"))["data"]) == 1
        await paystack.call("PUT", path, {"refund_amount": 20_001}, status=400)
        await paystack.call("PUT", path, {"refund_amount": 8_000})
        name = (await paystack.call("GET", f"{path}/upload_url?upload_filename=ticket.pdf"))["data"]["fileName"]
        evidence = {
            "customer_email": "a@b.co",
            "customer_name": "Ada",
            "customer_phone": "080",
            "service_details": "ticket",
        }
        await paystack.call("POST", f"{path}/evidence", evidence)
        await paystack.call("POST", f"{path}/evidence", {}, status=400)
        answer = {"resolution": "merchant-accepted", "message": "ok", "refund_amount": 8_000, "uploaded_filename": name}
        over = await paystack.call("PUT", f"{path}/resolve", {**answer, "refund_amount": 20_001}, status=400)
        assert over["message"] == "Refund amount cannot be greater than initial amount"
        resolved = (await paystack.call("PUT", f"{path}/resolve", answer))["data"]
        assert (resolved["status"], resolved["transaction"]["status"]) == ("resolved", "reversed")
        await paystack.call("PUT", f"{path}/resolve", answer, status=400)
        assert (await paystack.ledger())["totals"]["charged_back"] == 8_000


async def test_dispute_nobody_answers_is_accepted_by_itself() -> None:
    async with sandbox() as paystack:
        await paystack.pay("BX-1")
        opened = await paystack.call("POST", "/sandbox/disputes", {"reference": "BX-1", "due_seconds": 0.05})
        async with asyncio.timeout(10):
            while (await paystack.call("GET", f"/dispute/{opened['id']}"))["data"]["resolution"] != "auto-accepted":
                pass
        assert (await paystack.verify("BX-1"))["status"] == "reversed"


async def test_session_timeout_is_read_and_set() -> None:
    async with sandbox() as paystack:
        path = "/integration/payment_session_timeout"
        assert (await paystack.call("GET", path))["data"] == {"payment_session_timeout": 0}
        await paystack.call("PUT", path, {"timeout": 30})
        assert (await paystack.call("GET", path))["data"] == {"payment_session_timeout": 30}
        await paystack.call("PUT", path, {"timeout": "soon"}, status=400)
