"""The deadline: payments alone answers whether anybody paid, and asks Paystack where that is not known."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from deploy.local.databases import Templates
from shared.contracts.payments import PaymentAbandonedV1, PaymentConfirmedV1
from tests.databases import MakeDatabase
from tests.harness import move_clock
from tests.integration.payments_support import passed, till
from tests.samples import expired, in_seconds, paid, reserved
from tests.waiting import until

MoveClock = Callable[[float], Awaitable[None]]


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


@pytest.fixture
def move(database_url: str, templates: Templates) -> MakeDatabase:
    async def to(seconds: float) -> None:
        await move_clock(templates.admin(database_url), seconds)

    return to  # type: ignore[return-value]


async def test_never_started_is_abandoned_in_the_same_transaction(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order(expires_at=in_seconds(-1))
        await one.bench.deliver(passed(order))
        (abandoned,) = await one.given_out(PaymentAbandonedV1)
        assert (abandoned.paying_started, abandoned.why) == (False, "deadline")
        await one.click(order.order_id, status=410)
        assert (await one.paystack.call("GET", "/sandbox/calls")) == {}


async def test_an_unknown_order_is_abandoned_and_stays_closed_when_its_stock_comes_later(database_url: str) -> None:
    async with till(database_url) as one:
        order = reserved(uuid4(), expires_at=in_seconds(-1))
        await one.bench.deliver(passed(order))
        assert len(await one.given_out(PaymentAbandonedV1)) == 1
        await one.bench.deliver(order)
        await one.click(order.order_id, status=410)


async def test_a_deadline_this_clock_has_not_reached_changes_nothing(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        early = passed(order).model_copy(update={"expires_at": in_seconds(-1)})
        await one.bench.deliver(early)
        assert await one.given_out() == []
        await one.click(order.order_id)


@pytest.mark.parametrize("outcome", ["abandoned", "failed", None])
async def test_paystack_says_no_and_the_order_is_abandoned_at_once(
    database_url: str, move: MoveClock, outcome: str | None
) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        if outcome is not None:
            await one.paystack.settle(page["reference"], outcome=outcome)
        await move(901)
        await one.bench.deliver(passed(order))
        (abandoned,) = await one.wait_for(PaymentAbandonedV1)
        assert abandoned.paying_started
        # Asked again, the answer is given again.
        await one.bench.deliver(passed(order))
        assert len(await one.wait_for(PaymentAbandonedV1, 2)) == 2


@pytest.mark.parametrize("status", [400, 404])
async def test_a_reference_paystack_never_heard_of_is_a_no(database_url: str, move: MoveClock, status: int) -> None:
    paystack = {"unknown_reference_status": status}
    async with till(database_url, paystack=paystack, paystack_timeout_seconds=0.3) as one:
        order = await one.order()
        await one.plant(timeout_before_charge=1, endpoints=["initialize"])
        await one.click(order.order_id, status=503)
        await one.heal()
        await move(901)
        await one.bench.deliver(passed(order))
        await one.wait_for(PaymentAbandonedV1)


async def test_paid_with_the_webhook_lost_is_confirmed_and_not_abandoned(database_url: str, move: MoveClock) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], webhooks=0)
        await move(901)
        await one.bench.deliver(passed(order))
        (first,) = await one.wait_for(PaymentConfirmedV1)
        await one.bench.deliver(passed(order))
        assert await one.wait_for(PaymentConfirmedV1, 2) == [first, first]
        assert await one.bench.value("SELECT abandoned_at IS NULL FROM payments")


async def test_of_two_attempts_the_older_one_was_paid(database_url: str, move: MoveClock) -> None:
    async with till(database_url) as one:
        order = await one.order()
        old = await one.click(order.order_id)
        await one.paystack.settle(old["reference"], outcome="failed")
        new = await one.click(order.order_id)
        await one.paystack.settle(old["reference"], webhooks=0)
        await move(901)
        await one.bench.deliver(passed(order))
        (confirmed,) = await one.wait_for(PaymentConfirmedV1)
        assert confirmed.reference == old["reference"] != new["reference"]
        assert await one.bench.value("SELECT abandoned_at IS NULL FROM payments")


async def test_an_unclear_status_is_asked_about_until_it_is_clear(database_url: str, move: MoveClock) -> None:
    async with till(database_url) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], outcome="ongoing")
        await move(901)
        await one.bench.deliver(passed(order))

        async def asked() -> bool:
            return bool(await one.bench.value("SELECT verify_count >= 3 FROM attempts"))

        assert await until(asked, 20, "Paystack was asked three times")
        assert await one.given_out(PaymentAbandonedV1) == []
        await one.paystack.settle(page["reference"], webhooks=0)
        await one.wait_for(PaymentConfirmedV1)


async def test_paystack_down_delays_the_end_up_to_the_grace_of_five_minutes(database_url: str, move: MoveClock) -> None:
    async with till(database_url) as one:
        assert one.service.settings.grace_seconds == 300  # type: ignore[attr-defined]
        order = await one.order()
        page = await one.click(order.order_id)
        await one.plant(down=True)
        await move(901)
        await one.bench.deliver(passed(order))

        async def asked() -> bool:
            return bool(await one.bench.value("SELECT verify_count >= 2 FROM attempts"))

        assert await until(asked, 20, "Paystack was asked twice")
        await move(901 + 280)
        await one.bench.deliver(passed(order))
        assert await one.given_out(PaymentAbandonedV1) == []
        await move(901 + 302)
        (abandoned,) = await one.wait_for(PaymentAbandonedV1)
        assert abandoned.paying_started
        # The money had come after all: it is named, and orders sends it back.
        await one.heal()
        await one.paystack.settle(page["reference"])
        assert (await one.wait_for(PaymentConfirmedV1))[0].reference == page["reference"]


async def test_deadlines_keep_the_budget_of_verifications(database_url: str, move: MoveClock) -> None:
    async with till(database_url, verify_per_minute=4) as one:
        orders = [await one.order() for _ in range(7)]
        for order in orders:
            await one.click(order.order_id)
        await move(901)
        await one.bench.deliver_batch(*(passed(order) for order in orders))
        await one.wait_for(PaymentAbandonedV1, 4)
        assert (await one.paystack.call("GET", "/sandbox/calls"))["verify"]["count"] == 4
        # Those nobody may ask about are not stranded: the grace ends their wait.
        await move(901 + 301)
        await one.wait_for(PaymentAbandonedV1, 7)
        assert (await one.paystack.call("GET", "/sandbox/calls"))["verify"]["count"] == 4


async def test_an_order_that_has_ended_answers_again(database_url: str) -> None:
    async with till(database_url) as one:
        over = await one.order(expires_at=in_seconds(-1))
        await one.bench.deliver(expired(over.order_id), passed(over))
        assert len(await one.given_out(PaymentAbandonedV1)) == 1
        bought = await one.order()
        page = await one.click(bought.order_id)
        await one.paystack.settle(page["reference"])
        (confirmed,) = await one.wait_for(PaymentConfirmedV1)
        await one.bench.deliver(paid(bought.order_id, charge_id=confirmed.charge_id))
        await one.bench.value(
            "UPDATE payments SET expires_at = now() - interval '1 s' WHERE order_id = $1", bought.order_id
        )
        await one.bench.deliver(passed(bought).model_copy(update={"expires_at": in_seconds(-1)}))
        assert await one.wait_for(PaymentConfirmedV1, 2) == [confirmed, confirmed]


async def test_late_money_without_a_webhook_is_found_after_the_order_ended(database_url: str, move: MoveClock) -> None:
    async with till(database_url, verify_late_seconds=(0.05, 0.05, 0.05), poll_seconds=0.05) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.paystack.settle(page["reference"], webhooks=0)
        await one.bench.deliver(expired(order.order_id))
        assert (await one.wait_for(PaymentConfirmedV1))[0].reference == page["reference"]


async def test_the_looks_for_late_money_end(database_url: str) -> None:
    async with till(database_url, verify_late_seconds=(0.02, 0.02), poll_seconds=0.05) as one:
        order = await one.order()
        await one.click(order.order_id)
        await one.bench.deliver(expired(order.order_id))

        async def is_over() -> bool:
            return bool(await one.bench.value("SELECT verify_at IS NULL AND verify_count = 2 FROM attempts"))

        assert await until(is_over, 20, "no look is planned any more")


async def test_what_was_asked_before_the_close_denies_nothing(database_url: str, move: MoveClock) -> None:
    """Stepped: Paystack says "abandoned", the deadline closes the payment, and only then the answer is entered."""
    async with till(database_url, paystack_timeout_seconds=20.0) as one:
        order = await one.order()
        page = await one.click(order.order_id)
        await one.plant(latency_seconds=30.0, endpoints=["verify"])
        back = asyncio.create_task(one.come_back(page["reference"]))

        async def was_asked() -> bool:
            return "verify" in await one.paystack.call("GET", "/sandbox/calls")

        assert await until(was_asked, 10, "Paystack was asked")
        await one.plant(latency_seconds=0.0)
        await one.paystack.settle(page["reference"], webhooks=0)
        await move(901)
        await one.bench.deliver(passed(order))
        await one.heal()
        await back
        (confirmed,) = await one.wait_for(PaymentConfirmedV1)
        assert confirmed.reference == page["reference"]
        one.bench._seen = 0
        assert await one.given_out(PaymentAbandonedV1) == []
