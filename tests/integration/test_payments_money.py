"""Money that is not what was asked for, forged or unreadable webhooks, and refunds to their end."""

import asyncio
import json

import asyncpg
import pytest

from services.payments.service import build
from shared.contracts.payments import PaymentConfirmedV1, PaymentRefundedV1, RefundFailedV1, RefundStartedV1
from tests.databases import MakeDatabase
from tests.integration.payments_support import Till, refund_of, settings, till
from tests.samples import expired, issued, paid
from tests.waiting import until

FAILING_CARD = "4084080000671803"
ATTENTION_CARD = "4084080000671902"


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


async def charged(one: Till, **decision: object) -> PaymentConfirmedV1:
    """One order, paid at Paystack and confirmed."""
    order = await one.order()
    page = await one.click(order.order_id)
    await one.paystack.settle(page["reference"], **decision)

    async def mine() -> list[PaymentConfirmedV1]:
        return [event for event in await one.wait_for(PaymentConfirmedV1) if event.order_id == order.order_id]

    return (await until(mine, 20, "the charge is confirmed"))[0]


async def refunds_at_paystack(one: Till) -> list[tuple[int, str]]:
    """Amount and status of every refund in Paystack's books."""
    return [(refund["amount"], refund["status"]) for refund in (await one.paystack.ledger())["refunds"]]


@pytest.mark.parametrize(
    "wrong", [{"amount": 900_000}, {"amount": 1_100_000}, {"currency": "USD"}, {"domain": "live"}], ids=str
)
async def test_what_does_not_match_is_never_confirmed_and_goes_back(
    database_url: str, wrong: dict[str, object]
) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], webhooks=3, **wrong)
        (refunded,) = await one.wait_for(PaymentRefundedV1)
        assert (refunded.purpose, refunded.order_id, refunded.email) == ("mismatch", order.order_id, order.email)
        assert await refunds_at_paystack(one) == [(refunded.amount_kobo, "processed")]
        one.bench._seen = 0
        assert await one.given_out(PaymentConfirmedV1) == []
        assert await one.cases() == []
        # The order itself can still be paid.
        assert (await one.click(order.order_id))["reference"] != page["reference"]


async def test_a_forged_webhook_leaves_no_trace(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        data = {**await one.paystack.verify(page["reference"]), "status": "success"}
        await one.webhook("charge.success", data, key="sk_test_somebody_else", status=401)
        async with one.http.post("/webhooks/paystack", data=b"{}") as answer:
            assert answer.status == 401
        assert await one.bench.value("SELECT count(*) FROM receipts") == 0
        assert await one.given_out(PaymentConfirmedV1) == []
        async with one.http.get("/metrics") as answer:
            assert "payments_webhooks_forged_total 2.0" in await answer.text()


async def test_a_webhook_under_the_next_secret_is_accepted(database_url: str) -> None:
    keys = "sk_test_boxoffice,sk_test_the_next_one"
    async with till(database_url, paystack_secret_keys=keys) as one:
        await one.webhook("transfer.success", {}, key="sk_test_the_next_one")
        assert await one.bench.value("SELECT outcome FROM receipts") == "kept"


async def test_an_authentic_webhook_is_kept_whatever_it_says(database_url: str) -> None:
    async with till(database_url) as one:
        for body in (b"", b"not json", b"[]", b'{"event": 7}', b'{"event":"charge.success"}', b"\x00\xff"):
            await one.webhook_raw(body)
        await one.webhook("charge.success", {"id": "x", "reference": "bx-\x00", "amount": -1})
        await one.webhook("something.new", {"reference": {"deep": []}})
        assert await one.bench.value("SELECT count(*) FROM receipts WHERE handled_at IS NOT NULL") == 8
        assert await one.bench.value("SELECT count(*) FROM charges") == 0


async def test_a_webhook_over_a_mebibyte_is_refused(database_url: str) -> None:
    async with till(database_url) as one:
        await one.webhook_raw(b" " * (1024 * 1024 + 1), status=413)
        await one.webhook_raw(b" " * (1024 * 1024))


async def test_a_webhook_that_was_only_stored_is_taken_up_by_the_loop(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], webhooks=0)
        data = await one.paystack.verify(page["reference"])
        body = json.dumps({"event": "charge.success", "data": data}).encode()
        await one.bench.value(
            "INSERT INTO receipts (id, body, next_at) VALUES (gen_random_uuid(), $1, now()) RETURNING id", body
        )
        await asyncio.gather(one.service.receipts.run_once(), one.service.receipts.run_once())
        assert len(await one.given_out(PaymentConfirmedV1)) == 1
        assert await one.bench.value("SELECT outcome FROM receipts") == "confirmed"


async def test_our_prefix_with_an_unknown_reference_is_an_open_case_and_not_refunded(database_url: str) -> None:
    async with till(database_url) as one:
        await one.paystack.settle("bx-never-heard-of", create=True, amount=70_000)
        await one.paystack.settle("shop-7", create=True, amount=80_000)
        await one.paystack.idle()
        rows = await one.bench.fetch("SELECT reference, verdict FROM charges ORDER BY reference")
        assert [tuple(row) for row in rows] == [("bx-never-heard-of", "unknown"), ("shop-7", "foreign")]
        ((kind, _),) = await one.cases()
        assert kind == "unknown_reference"
        assert await refunds_at_paystack(one) == []
        await one.service.cases.run_once()
        async with one.http.get("/metrics") as answer:
            text = await answer.text()
        assert 'payments_open_cases{currency="NGN",kind="unknown_reference"} 1.0' in text


async def test_a_charge_is_an_open_case_until_tickets_name_it(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        assert await one.cases() == [("charge_without_answer", charge.charge_id)]
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        assert len(await one.cases()) == 1
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        assert await one.cases() == []


async def test_late_money_goes_back_exactly_once_however_often_it_is_asked_for(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver(expired(charge.order_id))
        await asyncio.gather(*(one.bench.deliver(refund_of(charge)) for _ in range(5)))
        await one.wait_for(PaymentRefundedV1)
        await one.paystack.idle()
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]
        one.bench._seen = 0
        assert len(await one.given_out(RefundStartedV1)) >= 1
        await one.bench.deliver(refund_of(charge))
        assert len(await one.given_out(PaymentRefundedV1)) == 1
        assert await one.cases() == []
        assert (await one.paystack.call("GET", "/sandbox/calls"))["create_refund"]["count"] == 1


async def test_a_refund_call_without_an_answer_is_looked_up_before_it_is_repeated(database_url: str) -> None:
    async with till(database_url, paystack_timeout_seconds=0.3) as one:
        charge = await charged(one)
        await one.plant(timeout_after_charge=1, endpoints=["create_refund"])
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(PaymentRefundedV1)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]
        assert (await one.paystack.call("GET", "/sandbox/calls"))["create_refund"]["count"] == 1


async def test_a_refund_call_that_never_arrived_is_repeated(database_url: str) -> None:
    async with till(database_url, paystack_timeout_seconds=0.3) as one:
        charge = await charged(one)
        await one.plant(timeout_before_charge=1, endpoints=["create_refund"])
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(PaymentRefundedV1)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]


async def test_half_a_refund_whose_call_died_with_its_process_is_not_made_twice(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        half = charge.amount_kobo // 2
        # As a process leaves it that dies between Paystack's answer and its own commit.
        await one.paystack.call("POST", "/refund", {"transaction": charge.charge_id, "amount": half})
        await one.bench.value(
            "INSERT INTO refunds (id, order_id, charge_id, purpose, reference, amount_kobo, currency, why, status,"
            " calls, next_at, claimed_by, claimed_until) VALUES (gen_random_uuid(), $1, $2, 'organiser', $3, $4, 'NGN',"
            " 'x', 'sending', 1, now(), gen_random_uuid(), now() - interval '1 s') RETURNING id",
            charge.order_id,
            charge.charge_id,
            charge.reference,
            half,
        )
        await one.service.refunding.run_once()
        # Paystack's news of its refund may have woken the service's own loop, which then was the one to look it up.
        (refunded,) = await one.wait_for(PaymentRefundedV1)
        assert refunded.amount_kobo == half
        assert await refunds_at_paystack(one) == [(half, "processed")]
        assert await one.bench.value("SELECT calls FROM refunds") == 1


async def test_never_more_goes_back_than_came(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver(refund_of(charge))
        await one.bench.deliver(refund_of(charge, purpose="double"))
        (failed,) = await one.wait_for(RefundFailedV1)
        assert failed.purpose == "double"
        await one.wait_for(PaymentRefundedV1)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]


async def test_a_refund_by_another_hand_counts(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": charge.reference})
        await one.paystack.idle()
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(PaymentRefundedV1)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]


async def test_a_refund_paystack_cannot_make_is_told_and_stays_an_open_case(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one, card=FAILING_CARD)
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(RefundStartedV1)
        (failed,) = await one.wait_for(RefundFailedV1)
        assert failed.charge_id == charge.charge_id
        assert await one.cases() == [("refund_failed", charge.charge_id)]


async def test_a_refund_that_needs_attention_is_an_open_case_until_it_is_given(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one, card=ATTENTION_CARD)
        await one.bench.deliver(refund_of(charge))

        async def is_open() -> bool:
            return await one.cases() == [("refund_needs_attention", charge.charge_id)]

        assert await until(is_open, 20, "the refund needs attention")
        one.bench._seen = 0
        assert await one.given_out(RefundFailedV1) == []
        refund = await one.bench.value("SELECT provider_refund_id FROM refunds")
        details = {"refund_account_details": {"currency": "NGN", "account_number": "0123456789", "bank_id": "9"}}
        await one.paystack.call("POST", f"/refund/retry_with_customer_details/{refund}", details)
        await one.wait_for(PaymentRefundedV1)
        assert await one.cases() == []


async def test_a_refund_waits_for_the_balance(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.plant(insufficient_balance=True)
        await one.bench.deliver(refund_of(charge))

        async def was_refused() -> bool:
            return bool(await one.bench.value("SELECT calls >= 5 FROM refunds"))

        assert await until(was_refused, 20, "it was tried several times")
        await one.heal()
        await one.wait_for(PaymentRefundedV1)
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]


async def test_two_replicas_make_one_refund(database_url: str) -> None:
    async with till(database_url) as one:
        charges = [await charged(one) for _ in range(3)]
        rival = build(settings(database_url, paystack_url=one.paystack.url))
        await rival.database.open()
        try:
            await one.bench.deliver_batch(*(refund_of(charge) for charge in charges))
            await asyncio.gather(*(rival.refunding.run_once() for _ in range(3)))
            await one.wait_for(PaymentRefundedV1, 3)
        finally:
            await rival.paystack.close()
            await rival.database.close()
        assert len(await refunds_at_paystack(one)) == 3


async def test_the_service_itself_cannot_take_money_out_of_the_books(database_url: str) -> None:
    async with till(database_url) as one:
        await charged(one)
        for table in ("payments", "attempts", "charges", "refunds", "receipts"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await one.bench.value(f"DELETE FROM {table}")


async def test_a_reversed_payment_stays_paid(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": charge.reference})
        await one.come_back(charge.reference)
        assert await one.bench.value("SELECT verdict FROM charges") == "confirmed"
        assert await one.bench.value("SELECT status FROM attempts") == "paid"
