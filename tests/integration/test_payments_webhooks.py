"""Webhooks: every event Paystack knows, days late and again, from whom, and under which key."""

from typing import Any

import pytest

from deploy.local.databases import Templates
from deploy.sandbox.webhooks import sign
from services.payments.service import build
from shared.contracts.payments import PaymentConfirmedV1, PaymentRefundedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, move_clock
from tests.integration.payments_support import Till, settings, till
from tests.integration.sandbox_support import KEY
from tests.samples import issued, paid
from tests.waiting import until

NEW_KEY = "sk_test_the_next_one"
PAYSTACK_SOURCES = "52.31.139.75,52.49.173.169,52.214.14.220"

#: Every event of Paystack's documentation and samples, and what becomes of one that is about nothing of ours.
EVENTS = {
    "charge.success": "unreadable",
    "charge.failed": "failed",
    "charge.dispute.create": "unreadable",
    "charge.dispute.remind": "unreadable",
    "charge.dispute.resolve": "unreadable",
    "customeridentification.failed": "kept",
    "customeridentification.success": "kept",
    "dedicatedaccount.assign.failed": "kept",
    "dedicatedaccount.assign.success": "kept",
    "invoice.create": "kept",
    "invoice.payment_failed": "kept",
    "invoice.update": "kept",
    "paymentrequest.pending": "kept",
    "paymentrequest.success": "kept",
    "refund.pending": "no refund of ours",
    "refund.processing": "no refund of ours",
    "refund.processed": "no refund of ours",
    "refund.failed": "no refund of ours",
    "refund.needs-attention": "no refund of ours",
    "subscription.create": "kept",
    "subscription.disable": "kept",
    "subscription.expiring_cards": "kept",
    "subscription.not_renew": "kept",
    "transfer.success": "kept",
    "transfer.failed": "kept",
    "transfer.reversed": "kept",
    "bank.transfer.rejected": "kept",
    "something.new": "kept, of an event we do not know",
}


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


async def charged(one: Till, **decision: Any) -> PaymentConfirmedV1:
    """One order, paid at Paystack and confirmed."""
    order = await one.order()
    page = await one.click(order.order_id)
    await one.paystack.settle(page["reference"], **decision)

    async def mine() -> list[PaymentConfirmedV1]:
        return [event for event in await one.wait_for(PaymentConfirmedV1) if event.order_id == order.order_id]

    return (await until(mine, PATIENCE_SECONDS, "the charge is confirmed"))[0]


async def test_every_event_is_kept_with_its_outcome(database_url: str) -> None:
    async with till(database_url) as one:
        for event in EVENTS:
            await one.paystack.call("POST", "/sandbox/webhooks", {"event": event, "data": {"reference": "x"}})
        await one.paystack.idle()
        rows = await one.bench.fetch("SELECT event, outcome FROM receipts WHERE handled_at IS NOT NULL")
        assert {row["event"]: row["outcome"] for row in rows} == EVENTS
        assert await one.bench.value("SELECT count(*) FROM charges") == 0


async def test_days_late_and_sent_again_a_webhook_has_one_effect(database_url: str, templates: Templates) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        await one.paystack.idle()
        await move_clock(templates.admin(database_url), 3 * 24 * 3600)
        sent = await one.paystack.call("GET", "/integration/webhooks/events")
        ids = [row["_id"] for row in sent["data"]]
        for _ in range(3):
            await one.paystack.call("POST", "/integration/webhooks/events/resend", {"ids": ids}, status=202)
        await one.paystack.call("POST", "/sandbox/webhooks/resend", {"reference": charge.reference, "copies": 3})
        await one.paystack.idle()
        assert await one.bench.value("SELECT count(*) FROM receipts WHERE outcome = 'confirmed'") == 7
        assert len(await one.wait_for(PaymentConfirmedV1)) == 1
        assert await one.cases() == []


@pytest.mark.parametrize("amount", [None, 250_000], ids=["whole", "part"])
async def test_money_on_its_way_back_un_pays_nothing(database_url: str, amount: int | None) -> None:
    async with till(database_url, paystack={"refund_seconds": 3600}) as one:
        charge = await charged(one)
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        body = {"reference": charge.reference} | ({} if amount is None else {"amount": amount})
        made = await one.paystack.call("POST", "/sandbox/refunds", body)
        for status, seen in (("needs-attention", "reversal-pending"), ("processed", "reversed")):
            await one.paystack.call("POST", f"/sandbox/refunds/{made['id']}", {"status": status})
            assert (await one.paystack.verify(charge.reference))["status"] == seen
            # By every way there is: the buyer's return, a look of the loop's, the webhook again.
            await one.come_back(charge.reference)
            await one.service.verifying.look(charge.reference)
            await one.paystack.call("POST", "/sandbox/webhooks/resend", {"reference": charge.reference})
            await one.webhook("charge.success", await one.paystack.verify(charge.reference))
            await one.paystack.idle()
        (row,) = await one.bench.fetch("SELECT verdict, answered, amount_kobo FROM charges")
        assert tuple(row) == ("confirmed", "paid", charge.amount_kobo)
        assert await one.bench.value("SELECT status FROM attempts") == "paid"
        assert await one.bench.value("SELECT ended FROM payments") == "paid"
        assert len(await one.wait_for(PaymentConfirmedV1)) == 1
        assert (await one.click(charge.order_id, status=410))["code"] == "already_paid"


async def post(one: Till, forwarded: list[str]) -> int:
    """Send a signed webhook as a proxy (or somebody who plays one) would pass it on."""
    body = b'{"event":"transfer.success","data":{}}'
    headers = [("x-paystack-signature", sign(KEY, body)), *(("X-Forwarded-For", one) for one in forwarded)]
    async with one.http.post("/webhooks/paystack", data=body, headers=headers) as answer:
        return answer.status


async def test_webhooks_are_taken_from_listed_addresses_only_and_a_proxy_is_believed_only_if_ours(
    database_url: str,
) -> None:
    async with till(database_url, webhook_sources=PAYSTACK_SOURCES, trusted_proxies="127.0.0.0/8,10.0.0.0/8") as one:
        assert await post(one, ["52.49.173.169"]) == 200
        assert await post(one, ["198.51.100.7, 52.49.173.169, 10.0.0.3"]) == 200
        for forwarded in (
            [],
            ["198.51.100.7"],
            # What a stranger wrote stands before what our proxy added.
            ["52.49.173.169, 198.51.100.7"],
            ["52.49.173.169", "198.51.100.7"],
            ["52.49.173.169, nonsense"],
        ):
            assert await post(one, forwarded) == 403, forwarded
        assert await one.bench.value("SELECT count(*) FROM receipts") == 2
        async with one.http.get("/metrics") as answer:
            assert "payments_webhooks_strangers_total 5.0" in await answer.text()


async def test_without_a_proxy_of_ours_nobody_can_claim_to_be_paystack(database_url: str) -> None:
    async with till(database_url, webhook_sources=PAYSTACK_SOURCES) as one:
        assert await post(one, ["52.49.173.169"]) == 403
    async with till(database_url, webhook_sources="127.0.0.1") as one:
        assert await post(one, ["198.51.100.7"]) == 200


async def restart(one: Till, keys: str) -> None:
    """Payments again, on the same port, with other keys."""
    port = one.service.http_port
    await one.service.stop()
    one.service = build(
        settings(
            one.service.settings.database_url,
            http_port=port,
            paystack_url=one.paystack.url,
            paystack_secret_keys=keys,
        )
    )
    one.bench = Bench(one.service)
    await one.service.start()

    async def is_ready() -> bool:
        return await one.service.why_not_ready() is None

    assert await until(is_ready, PATIENCE_SECONDS, "payments is ready again")


@pytest.mark.parametrize("pending", ["old_key", "new_key"])
async def test_a_secret_that_is_rolled_with_webhooks_in_flight_loses_none(database_url: str, pending: str) -> None:
    """Whichever key Paystack signs with what was under way, and although one step is taken too late."""
    async with till(database_url, paystack={"webhook_retry_seconds": (0.1,) * 100}) as one:
        orders = [await one.order() for _ in range(6)]
        references = [(await one.click(order.order_id))["reference"] for order in orders]
        await one.paystack.settle(references[0])
        # In flight while the key changes, and signed before it does.
        await one.paystack.settle(references[1], delay_seconds=0.5)
        await one.paystack.call("POST", "/sandbox/secret", {"secret_key": NEW_KEY, "pending_webhooks": pending})
        # Payments does not know the new key yet: it refuses, and Paystack sends again.
        await one.paystack.settle(references[2])

        async def was_refused() -> bool:
            sent = await one.paystack.call("GET", f"/sandbox/webhooks?reference={references[2]}")
            return bool(sent) and 401 in sent[0]["codes"]

        assert await until(was_refused, PATIENCE_SECONDS, "the new key is not known")
        await restart(one, f"{KEY},{NEW_KEY}")
        await one.paystack.settle(references[3])
        # Calls go on under the key that is still first: Paystack refuses it, and the next one calls.
        assert (await one.click((await one.order()).order_id))["reference"]
        await one.paystack.settle(references[4], delay_seconds=0.3)
        await restart(one, f"{NEW_KEY},{KEY}")
        await one.paystack.settle(references[5])
        await one.paystack.idle()
        rows = await one.bench.fetch("SELECT reference, source, verdict FROM charges")
        assert {row["reference"] for row in rows} == set(references)
        assert {(row["source"], row["verdict"]) for row in rows} == {("webhook", "confirmed")}
        assert len(await one.wait_for(PaymentConfirmedV1, 6)) == 6
        sent = await one.paystack.call("GET", "/sandbox/webhooks")
        assert {row["status"] for row in sent} == {"delivered"}


async def test_a_customer_who_bears_the_fee_pays_more_and_that_is_stated(database_url: str) -> None:
    async with till(database_url, paystack={"customer_bears_fees": True}, customer_bears_fees=True) as one:
        charge = await charged(one)
        (books,) = (await one.paystack.ledger())["charges"]
        assert charge.amount_kobo == books["amount"] > books["requested_amount"] == 1_000_000
        assert charge.surcharge_kobo == books["fees"] == charge.amount_kobo - 1_000_000
        (row,) = await one.bench.fetch("SELECT amount_kobo, surcharge_kobo, fees_kobo FROM charges")
        assert tuple(row) == (books["amount"], books["fees"], books["fees"])


@pytest.mark.parametrize("is_set", [False, True])
async def test_more_than_the_price_is_wrong_unless_exactly_the_price_was_requested(
    database_url: str, is_set: bool
) -> None:
    # Either the setting is off and the account puts its fee on top, or it is on and something else was requested.
    async with till(database_url, paystack={"customer_bears_fees": not is_set}, customer_bears_fees=is_set) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], **({"amount": 999_999} if is_set else {}))
        (refunded,) = await one.wait_for(PaymentRefundedV1)
        (books,) = (await one.paystack.ledger())["charges"]
        assert (refunded.purpose, refunded.amount_kobo) == ("mismatch", books["amount"])
