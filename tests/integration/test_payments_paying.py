"""From the click on the link to the one charge: what a buyer, Paystack and its webhooks can do to an open order."""

import asyncio
from uuid import uuid4

import pytest

from services.payments.service import build
from shared.contracts.payments import PaymentAbandonedV1, PaymentConfirmedV1
from tests.databases import MakeDatabase
from tests.integration.payments_support import STOREFRONT, TOKENS, settings, till
from tests.samples import expired, in_seconds, issued, paid, reserved
from tests.waiting import until

HTML = "text/html,application/xhtml+xml"


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
        assert (await one.click(order.order_id, status=410))["code"] == "already_paid"


async def test_a_browser_is_sent_to_paystack_and_a_program_gets_the_address(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        document = await one.click(order.order_id)
        assert set(document) == {"authorization_url", "access_code", "reference", "expires_at"}
        await one.click(order.order_id, accept=HTML, status=303)
        assert (await one.paystack.verify(document["reference"]))["amount"] == order.total_kobo


async def test_two_replicas_open_one_page(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        rival = build(settings(database_url, paystack_url=one.paystack.url))
        await rival.database.open()
        try:
            page, other = await asyncio.gather(one.click(order.order_id), rival.paying.click(order.order_id))
            assert page["reference"] == other.attempt.reference  # type: ignore[union-attr]
        finally:
            await rival.paystack.close()
            await rival.database.close()
        assert (await one.paystack.call("GET", "/sandbox/calls"))["initialize"]["count"] == 1


async def test_a_link_that_comes_before_the_order_waits_for_it(database_url: str) -> None:
    async with till(database_url, link_wait_seconds=20.0) as one:
        order = reserved(expires_at=in_seconds(900))
        click = asyncio.create_task(one.click(order.order_id))
        await until(lambda: one.service.paying._arrivals._waiting, 10, "the click waits")
        await one.bench.deliver(order)
        assert (await click)["reference"]


async def test_a_link_to_an_order_nobody_knows_says_try_again_and_never_not_found(database_url: str) -> None:
    async with till(database_url) as one:
        problem = await one.click(uuid4(), status=503)
        assert problem["code"] == "not_known_yet"
        assert "tries again by itself" in await one.click(uuid4(), accept=HTML, status=503)


async def test_a_link_with_another_orders_token_is_refused(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        for token in ("", TOKENS.make("pay", uuid4()), TOKENS.make("order", order.order_id)):
            async with one.http.get(f"/pay/{order.order_id}?token={token}", allow_redirects=False) as answer:
                assert answer.status == 403
        async with one.http.get("/pay/no-uuid?token=x") as answer:
            assert answer.status == 403
        # A link preview looks without opening a page to pay.
        async with one.http.head(f"/pay/{order.order_id}?token={TOKENS.make('pay', order.order_id)}") as answer:
            assert answer.status == 405
        assert await one.bench.value("SELECT count(*) FROM attempts") == 0


async def test_initialise_without_an_answer_is_unknown_and_late_money_on_it_is_confirmed(database_url: str) -> None:
    async with till(database_url, paystack_timeout_seconds=0.3) as one:
        order = await one.order()
        await one.plant(timeout_after_charge=1, endpoints=["initialize"])
        assert (await one.click(order.order_id, status=503))["code"] == "provider_away"
        await one.heal()
        (old,) = await one.bench.fetch("SELECT reference, status FROM attempts")
        assert old["status"] == "unknown"
        new = await one.click(order.order_id)
        assert new["reference"] != old["reference"]
        await one.paystack.settle(old["reference"])
        await one.paystack.settle(new["reference"])
        confirmed = await one.wait_for(PaymentConfirmedV1, 2)
        assert {event.reference for event in confirmed} == {old["reference"], new["reference"]}
        assert len({event.charge_id for event in confirmed}) == 2


async def test_a_declined_card_gets_a_new_page_and_does_not_end_the_order(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        first = await one.click(order.order_id)
        await one.paystack.settle(first["reference"], outcome="failed")
        second = await one.click(order.order_id)
        assert second["reference"] != first["reference"]
        # Left and opened again, the second page is still good.
        assert await one.click(order.order_id) == second
        assert await one.given_out(PaymentAbandonedV1) == []


async def test_release_gives_the_stock_back_as_soon_as_a_card_is_declined(database_url: str) -> None:
    async with till(database_url, on_failure="release") as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], outcome="failed")
        await one.come_back(page["reference"])
        (abandoned,) = await one.given_out(PaymentAbandonedV1)
        assert (abandoned.why, abandoned.paying_started) == ("declined", True)
        await one.click(order.order_id, status=410)


async def test_release_asks_about_the_other_attempts_first(database_url: str) -> None:
    async with till(database_url, on_failure="release", paystack_timeout_seconds=0.3) as one:
        order = await one.order()
        await one.plant(timeout_after_charge=1, endpoints=["initialize"])
        await one.click(order.order_id, status=503)
        await one.heal()
        old = await one.bench.value("SELECT reference FROM attempts")
        page = await one.click(order.order_id)
        await one.paystack.settle(old, webhooks=0)
        await one.paystack.settle(page["reference"], outcome="failed")
        await one.come_back(page["reference"])
        assert (await one.wait_for(PaymentConfirmedV1))[0].reference == old
        one.bench._seen = 0
        assert await one.given_out(PaymentAbandonedV1) == []


async def test_a_lost_webhook_is_made_good_when_the_buyer_clicks_again(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], webhooks=0)
        assert (await one.click(order.order_id, status=410))["code"] == "already_paid"
        assert len(await one.given_out(PaymentConfirmedV1)) == 1


async def test_paystack_away_leaves_no_attempt_that_could_hold_the_order(database_url: str) -> None:
    async with till(database_url, paystack_url="http://127.0.0.1:1") as one:
        order = await one.order()
        assert (await one.click(order.order_id, status=503))["code"] == "provider_away"
        assert await one.bench.value("SELECT status FROM attempts") == "refused"


async def test_a_broken_answer_of_paystack_is_unknown(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        await one.plant(fail_next=1, endpoints=["initialize"])
        await one.click(order.order_id, status=503)
        assert await one.bench.value("SELECT status FROM attempts") == "unknown"
        assert (await one.click(order.order_id))["reference"]


async def test_the_last_minute_opens_no_page_but_hands_out_an_open_one(database_url: str) -> None:
    async with till(database_url) as one:
        late = await one.order(expires_at=in_seconds(50))
        assert (await one.click(late.order_id, status=410))["code"] == "too_late"
        order = await one.order()
        page = await one.click(order.order_id)
        await one.bench.value(
            "UPDATE payments SET expires_at = now() + interval '50 s' WHERE order_id = $1", order.order_id
        )
        assert (await one.click(order.order_id))["reference"] == page["reference"]


@pytest.mark.parametrize("ending", [paid, expired])
async def test_the_link_is_gone_once_the_order_is_over(database_url: str, ending: object) -> None:
    async with till(database_url) as one:
        order = await one.order()
        await one.bench.deliver(ending(order.order_id))  # type: ignore[operator]
        assert (await one.click(order.order_id, status=410))["code"] == "order_over"
        assert "See your order" in await one.click(order.order_id, accept=HTML, status=410)


async def test_an_order_that_costs_nothing_has_nothing_to_pay(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order(total_kobo=0)
        assert (await one.click(order.order_id, status=410))["code"] == "nothing_to_pay"


async def test_an_initialise_that_returns_after_the_close_hands_out_no_page(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        await one.plant(latency_seconds=30.0, endpoints=["initialize"])
        click = asyncio.create_task(one.click(order.order_id, status=410))

        async def is_made() -> bool:
            calls = await one.paystack.call("GET", "/sandbox/calls")
            return "initialize" in calls

        assert await until(is_made, 10, "the call is under way")
        await one.bench.deliver(expired(order.order_id))
        await one.heal()
        assert (await click)["code"] == "order_over"


async def test_a_webhook_that_overtakes_the_answer_to_initialise_counts(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        await one.plant(latency_seconds=30.0, endpoints=["initialize"])
        click = asyncio.create_task(one.click(order.order_id, status=503))

        async def reference() -> str:
            calls = await one.paystack.call("GET", "/sandbox/calls")
            return str(await one.bench.value("SELECT reference FROM attempts")) if "initialize" in calls else ""

        await one.paystack.settle(await until(reference, 10, "the call is under way"))
        await one.wait_for(PaymentConfirmedV1)
        await one.heal()
        await click
        assert (await one.click(order.order_id, status=410))["code"] == "already_paid"
        assert len(await one.wait_for(PaymentConfirmedV1)) == 1


async def test_over_the_budget_buyers_see_a_page_that_reloads_and_paystack_sees_no_call(database_url: str) -> None:
    async with till(database_url, initialise_per_minute=3) as one:
        orders = [await one.order() for _ in range(8)]
        rival = build(settings(database_url, paystack_url=one.paystack.url, initialise_per_minute=3))
        await rival.database.open()

        async def click(number: int) -> bool:
            if number % 2:
                return hasattr(await rival.paying.click(orders[number].order_id), "attempt")
            path = f"/pay/{orders[number].order_id}?token={TOKENS.make('pay', orders[number].order_id)}"
            async with one.http.get(path, headers={"Accept": HTML}, allow_redirects=False) as answer:
                if answer.status == 503:
                    assert int(answer.headers["Retry-After"]) >= 1
                    assert 'http-equiv="refresh"' in await answer.text()
                return answer.status == 303

        try:
            opened = await asyncio.gather(*(click(number) for number in range(8)))
        finally:
            await rival.paystack.close()
            await rival.database.close()
        assert sum(opened) == 3
        assert (await one.paystack.call("GET", "/sandbox/calls"))["initialize"]["count"] == 3
        # Who was turned away left nothing that would have to be looked up.
        assert await one.bench.value("SELECT count(*) FROM attempts") == 3


async def test_paystacks_own_limit_makes_every_replica_wait(database_url: str) -> None:
    async with till(database_url) as one:
        await one.plant(rate_limit_per_minute=1)
        first, second = await one.order(), await one.order()
        await one.click(first.order_id)
        assert (await one.click(second.order_id, status=503))["code"] == "over_budget"
        calls = (await one.paystack.call("GET", "/sandbox/calls"))["initialize"]["count"]
        assert (await one.click(second.order_id, status=503))["code"] == "over_budget"
        assert (await one.paystack.call("GET", "/sandbox/calls"))["initialize"]["count"] == calls


async def test_a_confirmation_is_repeated_until_tickets_name_the_charge(database_url: str) -> None:
    async with till(database_url, ask_again_seconds=0.05, ask_again_most_seconds=0.1) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"])
        first, *_ = await one.wait_for(PaymentConfirmedV1, 3)
        await one.bench.deliver(paid(order.order_id, charge_id=first.charge_id))
        # A paid order without tickets is an open case: the message that closes it may have been lost.
        await one.wait_for(PaymentConfirmedV1, 6)
        await one.bench.deliver(issued(order.order_id, charge_id=first.charge_id))
        assert await one.bench.value("SELECT ask_at IS NULL AND answered = 'paid' FROM charges")
        count = len(await one.wait_for(PaymentConfirmedV1, 3))
        assert await one.service.asking.run_once() is None
        assert len(await one.wait_for(PaymentConfirmedV1, 3)) == count


async def test_an_unknown_reference_on_the_way_back_is_a_clear_page(database_url: str) -> None:
    async with till(database_url) as one:
        assert await one.come_back("bx-nobody", status=404) == ""
        async with one.http.get("/payments/callback", headers={"Accept": HTML}) as answer:
            assert answer.status == 404
            assert "We do not know this payment" in await answer.text()


async def test_the_way_back_leads_to_the_order_although_paystack_is_down(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.plant(down=True)
        assert f"/orders/{order.order_id}" in await one.come_back(page["reference"])
        assert await one.given_out(PaymentConfirmedV1) == []


async def test_the_books_are_for_operators(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        await one.click(order.order_id)
        document = await one.operator(f"/v1/admin/payments/{order.order_id}")
        assert document["payment"]["amount_kobo"] == order.total_kobo
        assert [attempt["status"] for attempt in document["attempts"]] == ["open"]
        for token, status in (("", 401), ("gate-0123456789abc", 403)):
            headers = {"Authorization": f"Bearer {token}"}
            async with one.http.get("/v1/admin/cases", headers=headers) as answer:
                assert answer.status == status
