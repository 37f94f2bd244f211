"""Webhooks are signed, repeated until they are taken, and can be lost, copied and late on purpose."""

import hashlib
import hmac
import json

from tests.integration.sandbox_support import KEY, receiving, sandbox


async def test_success_is_signed_over_its_raw_compact_body() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.initialize("BX-1", metadata={"name": "Åse / Lagos"})
        await paystack.settle("BX-1")
        [event] = await shop.wait(1)
        raw = shop.bodies[0]
        assert shop.headers[0]["x-paystack-signature"] == hmac.new(KEY.encode(), raw, hashlib.sha512).hexdigest()
        assert raw == json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        assert event["event"] == "charge.success"
        assert (event["data"]["status"], event["data"]["amount"]) == ("success", 20_000)
        assert event["data"]["gateway_response_code"] == "approved"
        assert event["data"]["source"]["entry_point"] == "transaction_initialize"


async def test_only_success_sends_a_webhook() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        for outcome in ("failed", "abandoned", "ongoing"):
            await paystack.pay(f"BX-{outcome}", outcome=outcome)
        await paystack.idle()
        assert shop.bodies == []


async def test_copies_are_all_sent_and_none_is_lost_silently() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.pay("BX-5", webhooks=5)
        await paystack.pay("BX-0", webhooks=0)
        await paystack.idle()
        assert [event["data"]["reference"] for event in await shop.wait(5)] == ["BX-5"] * 5
        assert await paystack.call("GET", "/sandbox/webhooks?reference=BX-0") == []


async def test_webhook_can_come_late() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.pay("BX-1", delay_seconds=0.2)
        assert (await paystack.verify("BX-1"))["status"] == "success"
        assert shop.bodies == []
        await shop.wait(1)


async def test_anything_but_200_is_repeated_until_the_bound() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        shop.codes = [500, 201]
        await paystack.pay("BX-1")
        await paystack.idle()
        shop.codes = [503] * 9
        await paystack.pay("BX-2")
        await paystack.idle()
        sent = await paystack.call("GET", "/sandbox/webhooks")
        assert [(row["status"], row["codes"]) for row in sent] == [
            ("delivered", [500, 201, 200]),
            ("failed", [503, 503, 503]),
        ]
        assert len(set(shop.bodies)) == 2


async def test_shop_that_is_down_gets_it_when_it_is_asked_for_again() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        shop.codes = [500] * 3
        await paystack.pay("BX-1")
        await paystack.idle()
        await paystack.pay("BX-lost", webhooks=0)
        await paystack.call("POST", "/sandbox/webhooks/resend", {"reference": "BX-1", "copies": 2})
        await paystack.call("POST", "/sandbox/webhooks/resend", {"reference": "BX-lost"})
        await paystack.idle()
        references = [event["data"]["reference"] for event in await shop.wait(6)]
        assert sorted(references) == ["BX-1"] * 5 + ["BX-lost"]
        await paystack.initialize("BX-open")
        await paystack.call("POST", "/sandbox/webhooks/resend", {"reference": "BX-open"}, status=404)
        await paystack.call("POST", "/sandbox/webhooks/resend", {"reference": "nobody"}, status=404)


async def test_refund_tells_each_step_and_names_no_id() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.pay("BX-1")
        await shop.wait(1)
        await paystack.call("POST", "/refund", {"transaction": "BX-1", "amount": 7_000})
        await paystack.idle()
        events = (await shop.wait(4))[1:]
        by_name = {event["event"]: event["data"] for event in events}
        assert by_name.keys() == {"refund.pending", "refund.processing", "refund.processed"}
        for name, data in by_name.items():
            assert (data["amount"], data["transaction_reference"]) == ("7000", "BX-1")
            assert "id" not in data
            assert (data["refund_reference"] is None) == (name != "refund.processed")


async def test_refund_that_needs_attention_names_its_id_as_text() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        await paystack.pay("BX-1", card="4084080000671902")
        made = await paystack.call("POST", "/refund", {"transaction": "BX-1"})
        await paystack.idle()
        last = next(e for e in await shop.wait(4) if e["event"] == "refund.needs-attention")
        assert (last["data"]["id"], last["data"]["amount"]) == (str(made["data"]["id"]), 20_000)


async def test_dispute_is_told_from_its_opening_to_its_end() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        settled = await paystack.pay("BX-1", webhooks=0)
        opened = await paystack.call("POST", "/sandbox/disputes", {"reference": "BX-1", "amount": 9_000})
        await paystack.call("POST", f"/sandbox/disputes/{opened['id']}/remind")
        answer = {"resolution": "declined", "message": "was admitted", "refund_amount": 0, "uploaded_filename": "x.pdf"}
        await paystack.call("PUT", f"/dispute/{opened['id']}/resolve", answer)
        await paystack.idle()
        by_name = {event["event"]: event["data"] for event in await shop.wait(3)}
        assert by_name.keys() == {"charge.dispute.create", "charge.dispute.remind", "charge.dispute.resolve"}
        assert by_name["charge.dispute.create"]["transaction"]["id"] == settled["id"]
        assert by_name["charge.dispute.resolve"]["resolution"] == "declined"
        assert (await paystack.verify("BX-1"))["status"] == "success"


async def test_events_can_be_listed_and_sent_again_through_the_api() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        shop.codes = [500] * 3
        settled = await paystack.pay("BX-1")
        await paystack.idle()
        path = "/integration/webhooks/events"
        [failed] = (await paystack.call("GET", f"{path}?status=Failed&category_row_id={settled['id']}"))["data"]
        assert (failed["event_name"], failed["trial_count"], failed["response_code"]) == ("charge.success", 3, 500)
        found = (await paystack.call("GET", f"{path}/lookup?reference={settled['id']}"))["data"]
        assert found["_id"] == failed["_id"]
        assert (await paystack.call("GET", f"{path}/{failed['_id']}"))["data"]["event_payload"]["event"]
        await paystack.call("GET", f"{path}/{'0' * 24}", status=404)
        for _ in range(2):
            answer = await paystack.call("POST", f"{path}/resend", {"ids": [failed["_id"], "nope"]}, status=202)
            assert answer["data"] == {"count": 1, "failed": 1, "failed_ids": ["nope"]}
        filters = {"filters": {"status": "Failed"}}
        preview = await paystack.call("POST", f"{path}/resend-matching?preview=true", filters)
        assert preview["data"] == {"count": 1}
        await paystack.call("POST", f"{path}/resend-matching", filters, status=202)
        await paystack.idle()
        assert len(await shop.wait(6)) == 6
        await paystack.call("POST", f"{path}/resend", {"ids": []}, status=400)
