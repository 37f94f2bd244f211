"""One order through all services: bought, paid, ticketed, mailed; and every way out of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from deploy.demo.shop import Answer, Shop
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from deploy.local.plan import Wiring
from tests.databases import fresh_databases
from tests.harness import Wire, delete_namespace, new_namespace
from tests.samples import checkout
from tests.system import SECRETS, System, make_wiring, system
from tests.waiting import until

#: Time to pay where a test waits for its end.
SHORT_SECONDS = 4


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wirings(engines: Engines, templates: Templates) -> AsyncIterator[Callable[[], Wiring]]:
    """Makes wirings of new systems; everything they used is removed in the end."""
    namespaces: list[str] = []
    with fresh_databases(templates) as make_database:

        def make() -> Wiring:
            namespaces.append(new_namespace())
            return make_wiring(engines.amqp_url, namespaces[-1], make_database)

        yield make
        for namespace in namespaces:
            await delete_namespace(engines.amqp_url, namespace)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(wirings: Callable[[], Wiring]) -> AsyncIterator[System]:
    """One system that all tests here share; each has tiers and buyers of its own."""
    async with system(wirings()) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hasty(wirings: Callable[[], Wiring]) -> AsyncIterator[System]:
    """The same with a short time to pay."""
    short = {"orders": {"pay_within_seconds": SHORT_SECONDS, "ask_again_seconds": 1}}
    async with system(wirings(), settings=short) as one:  # type: ignore[arg-type]
        yield one


async def stock(whole: System, tier: UUID) -> tuple[int, int, int]:
    (row,) = await whole.rows("inventory", "SELECT available, held, sold FROM tiers WHERE id = $1", tier)
    return row["available"], row["held"], row["sold"]


async def paid(whole: System, order: Answer) -> dict[str, Any]:
    return await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)


async def test_a_buyer_pays_and_gets_signed_tickets_by_mail(whole: System) -> None:
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 2), email="ada@example.com")
    assert (order.status, order.body["status"], order.body["total_kobo"]) == (201, "pending", 1_000_000)
    await whole.shop.pay(order)
    codes = [ticket["code"] for ticket in (await paid(whole, order))["tickets"]]
    assert len(set(codes)) == 2
    (mail,) = await whole.mailed("ada@example.com")
    assert all(code in mail["text"] for code in codes)
    assert await stock(whole, tier) == (8, 0, 2)
    await whole.sums_hold()


async def test_a_free_order_is_ticketed_without_paystack(whole: System) -> None:
    tier = await whole.tier(10, price_kobo=0)
    order = await whole.shop.checkout((tier, 1), email="free@example.com")
    assert order.status == 201
    await paid(whole, order)
    await whole.mailed("free@example.com")
    assert await whole.value("payments", "SELECT count(*) FROM attempts WHERE order_id = $1", order.order_id) == 0
    await whole.sums_hold()


async def test_an_order_not_paid_in_time_gives_its_stock_back(hasty: System) -> None:
    tier = await hasty.tier(10)
    order = await hasty.shop.checkout((tier, 3))
    assert await stock(hasty, tier) == (7, 3, 0)
    await hasty.shop.until(order.order_id, order.token, {"expired"}, 15)
    await hasty.sums_hold()
    assert await stock(hasty, tier) == (10, 0, 0)
    gone = await hasty.shop.click(order.body["payment_url"])
    assert gone.status == 410


async def test_a_cancelled_order_gives_its_stock_back_at_once(whole: System) -> None:
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 3))
    answer = await whole.shop.cancel(order.order_id, order.token)
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    await whole.sums_hold()
    assert await stock(whole, tier) == (10, 0, 0)


async def test_a_paid_order_cannot_be_cancelled(whole: System) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 1))
    await whole.shop.pay(order)
    await paid(whole, order)
    assert (await whole.shop.cancel(order.order_id, order.token)).status == 409
    await whole.sums_hold()


async def test_webhook_five_times_redirect_and_double_click_at_once_are_one_payment(whole: System) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 2), email="eager@example.com")
    clicks = await asyncio.gather(*(whole.shop.click(order.body["payment_url"]) for _ in range(4)))
    (reference,) = {click.body["reference"] for click in clicks}
    assert {click.status for click in clicks} == {200}
    await whole.shop.settle(reference, webhooks=5)
    back = await asyncio.gather(*(whole.shop.come_back(whole.url("payments"), reference) for _ in range(3)))
    assert {one.status for one in back} == {303}
    assert all(f"/orders/{order.order_id}?token=" in one.headers["Location"] for one in back)
    await paid(whole, order)
    await whole.shop.get(f"{whole.url('sandbox')}/sandbox/idle?timeout_seconds=10")
    await whole.mailed("eager@example.com")
    await whole.quiet()
    assert len(await whole.mails("eager@example.com")) == 1
    assert await whole.value("payments", "SELECT count(*) FROM charges WHERE order_id = $1", order.order_id) == 1
    assert await whole.value("ticketing", "SELECT count(*) FROM tickets WHERE order_id = $1", order.order_id) == 2
    await whole.sums_hold()


async def test_money_that_comes_after_the_end_goes_back_once(hasty: System) -> None:
    tier = await hasty.tier(10)
    order = await hasty.shop.checkout((tier, 1), email="late@example.com")
    reference = (await hasty.shop.click(order.body["payment_url"])).body["reference"]
    await hasty.shop.until(order.order_id, order.token, {"expired"}, 20)
    assert (await hasty.shop.settle(reference, webhooks=3)).status == 200
    await hasty.sums_hold()
    assert await hasty.refunds(order.order_id) == [500_000]
    assert await stock(hasty, tier) == (10, 0, 0)
    mails = await hasty.mailed("late@example.com", 3)
    assert len({mail["subject"] for mail in mails}) == 3, "it expired, a refund began, it arrived"


async def test_money_for_a_cancelled_order_goes_back_once(whole: System) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 1))
    reference = (await whole.shop.click(order.body["payment_url"])).body["reference"]
    await whole.shop.cancel(order.order_id, order.token)
    await whole.shop.settle(reference, webhooks=2)
    await whole.sums_hold()
    assert len(await whole.refunds(order.order_id)) == 1


async def test_paid_at_paystack_with_the_webhook_lost_is_finalised_not_expired(hasty: System) -> None:
    tier = await hasty.tier(10)
    order = await hasty.shop.checkout((tier, 1))
    await hasty.shop.pay(order, webhooks=0)
    await paid(hasty, order)
    assert await stock(hasty, tier) == (9, 0, 1)
    await hasty.sums_hold()


async def test_paystack_down_delays_expiry_up_to_the_grace_and_does_not_prevent_it(
    wirings: Callable[[], Wiring],
) -> None:
    short = {
        "orders": {"pay_within_seconds": SHORT_SECONDS, "ask_again_seconds": 1},
        "payments": {"grace_seconds": 3, "last_attempt_seconds": 0, "verify_closing_seconds": 0.2,
                     "verify_closing_most_seconds": 0.5, "ask_again_seconds": 1},
    }  # fmt: skip
    async with system(wirings(), settings=short) as one:  # type: ignore[arg-type]
        tier = await one.tier(10)
        never, begun = await one.shop.checkout((tier, 1)), await one.shop.checkout((tier, 1))
        await one.shop.click(begun.body["payment_url"])
        await one.shop.request("POST", f"{one.url('sandbox')}/sandbox/faults", json={"down": True})
        await one.shop.until(never.order_id, never.token, {"expired"}, 10)
        assert (await one.shop.order(begun.order_id, begun.token))["status"] == "pending", "Paystack may know better"
        await one.shop.until(begun.order_id, begun.token, {"expired"}, 15)
        await one.shop.request("DELETE", f"{one.url('sandbox')}/sandbox/faults")
        await one.sums_hold()
        assert await stock(one, tier) == (10, 0, 0)


@pytest.mark.parametrize("wrong", [{"amount": 5_000}, {"amount": 900_000}, {"currency": "GHS"}])
async def test_a_charge_that_is_not_the_orders_pays_nothing_and_goes_back(whole: System, wrong: dict[str, Any]) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 1))
    await whole.shop.pay(order, **wrong)

    await until(lambda: whole.refunds(order.order_id), 15, "the money goes back")
    assert (await whole.shop.order(order.order_id, order.token))["status"] == "pending"
    await whole.shop.pay(order)
    await paid(whole, order)
    await whole.sums_hold()


async def test_a_second_charge_is_refunded_and_the_first_keeps_its_tickets(whole: System) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 1))
    first = (await whole.shop.click(order.body["payment_url"])).body["reference"]
    await whole.shop.settle(first, "failed")
    await whole.shop.come_back(whole.url("payments"), first)
    second = (await whole.shop.click(order.body["payment_url"])).body["reference"]
    assert second != first
    await whole.shop.settle(second)
    await paid(whole, order)
    third = await whole.shop.settle(first)
    if third.status == 200:
        await whole.sums_hold()
        assert len(await whole.refunds(order.order_id)) == 1
    assert (await paid(whole, order))["status"] == "paid"


async def test_nothing_a_client_says_of_price_total_or_name_is_used(whole: System) -> None:
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 1), price=1, total=1, total_kobo=1, name="Free", currency="XXX")
    assert (order.body["total_kobo"], order.body["currency"]) == (500_000, "NGN")
    assert order.body["lines"][0]["tier_name"] == "VIP"
    answer = await whole.shop.request(
        "POST",
        f"{whole.url('gateway')}/v1/checkout",
        json={"items": [{"tier_id": str(tier), "quantity": 1, "price_kobo": 1, "name": "x"}], "email": "a@b.example"},
    )
    assert answer.body["total_kobo"] == 500_000
    for one in (order, answer):
        await whole.shop.cancel(one.order_id, one.token)
    await whole.sums_hold()


async def test_a_tier_renamed_or_repriced_in_mid_sale_changes_no_reserved_order(whole: System) -> None:
    first, second = await whole.tiers(
        {"name": "VIP", "capacity": 5, "price_kobo": 500_000}, {"name": "VIP", "capacity": 5, "price_kobo": 700_000}
    )
    orders = [await whole.shop.checkout((tier, 1), email="vip@example.com") for tier in (first, second)]
    assert [order.body["total_kobo"] for order in orders] == [500_000, 700_000], "two tiers of one name are two tiers"
    await whole.organise("PATCH", f"/v1/admin/tiers/{first}", {"name": "Gold", "price_kobo": 900_000})
    later = await whole.shop.checkout((first, 1))
    assert (later.body["total_kobo"], later.body["lines"][0]["tier_name"]) == (900_000, "Gold")
    await whole.shop.pay(orders[0])
    ticket = (await paid(whole, orders[0]))["tickets"][0]
    assert ticket["tier_name"] == "VIP"
    charged = "SELECT sum(amount_kobo)::bigint FROM charges WHERE order_id = $1"
    assert await whole.value("payments", charged, orders[0].order_id) == 500_000
    await whole.shop.cancel(orders[1].order_id, orders[1].token)
    await whole.shop.cancel(later.order_id, later.token)
    await whole.sums_hold()


async def test_an_organiser_refunds_an_order_tickets_first(whole: System) -> None:
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 2), email="back@example.com")
    await whole.shop.pay(order)
    await paid(whole, order)
    await whole.organise("POST", f"/v1/admin/orders/{order.order_id}/refund", {"why": "rain"}, service="orders")
    view = await whole.shop.until(order.order_id, order.token, {"refunded"}, 15)
    assert not view["tickets"]
    valid = "SELECT count(*) FROM tickets WHERE status = 'valid' AND order_id = $1"
    assert await whole.value("ticketing", valid, order.order_id) == 0
    await whole.sums_hold()
    assert await stock(whole, tier) == (10, 0, 0)
    assert len(await whole.refunds(order.order_id)) == 1


async def test_a_ticket_goes_to_another_holder_and_a_refund_takes_it_too(whole: System) -> None:
    """The old number is revoked, the new one mailed to its holder alone; the buyer's page shows neither."""
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 2), email="ada.gives@example.com")
    await whole.shop.pay(order)
    kept, given = (await paid(whole, order))["tickets"]
    await whole.mailed("ada.gives@example.com")
    path = f"{whole.url('ticketing')}/v1/admin/orders/{order.order_id}/tickets/{given['number']}/reissue"
    headers = {"Authorization": f"Bearer {SECRETS.organiser_token}", "Idempotency-Key": "ada-gives-one-to-bola"}
    answers = [
        await whole.shop.request("POST", path, json={"email": "bola.gets@example.com"}, headers=headers)
        for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [201, 200]
    new = answers[0].body
    assert answers[1].body == new
    assert (new["number"], new["place"], new["status"], new["email"]) == (3, 2, "valid", "bola.gets@example.com")

    async def shown() -> list[dict[str, Any]]:
        view = await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
        assert new["code"] not in str(view)
        return view["tickets"] if view["passed_on_numbers"] == [2] else []

    (left,) = await until(shown, 15, "the buyer's page has heard of it")
    assert left["code"] == kept["code"]
    page = await whole.session.get(f"{whole.url('gateway')}/orders/{order.order_id}?token={order.token}")
    text = await page.text()
    assert "issued again to somebody else" in text
    assert (kept["code"] in text, given["code"] in text, new["code"] in text) == (True, False, False)
    (mail,) = await whole.mailed("bola.gets@example.com")
    assert new["code"] in mail["text"]
    assert not [code for code in (kept["code"], given["code"]) if code in mail["text"]]
    assert order.token not in mail["text"] + mail["html"], "the order is the buyer's"
    assert len(await whole.mails("ada.gives@example.com")) == 1
    await whole.sums_hold()
    refused = await whole.shop.request("POST", path, json={"email": "chi@example.com"}, headers=headers)
    assert (refused.status, refused.body["code"], refused.body["new_number"]) == (422, "key_reused", 3)
    await whole.organise("POST", f"/v1/admin/orders/{order.order_id}/refund", {"why": "rain"}, service="orders")
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 15)
    valid = "SELECT count(*) FROM tickets WHERE status = 'valid' AND order_id = $1"
    assert await whole.value("ticketing", valid, order.order_id) == 0
    await whole.sums_hold()
    assert await stock(whole, tier) == (10, 0, 0)
    assert await whole.refunds(order.order_id) == [1_000_000]


async def test_an_organiser_refunds_single_places_one_after_another(whole: System) -> None:
    tier = await whole.tier(10)
    order = await whole.shop.checkout((tier, 3), email="parts@example.com")
    await whole.shop.pay(order)
    await paid(whole, order)
    path = f"/v1/admin/orders/{order.order_id}/refund"
    for number in (2, 3):
        await whole.organise("POST", path, {"why": "one is ill", "numbers": [number]}, service="orders")
    view = await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
    await whole.sums_hold()
    assert await stock(whole, tier) == (9, 0, 1)
    assert await whole.refunds(order.order_id) == [500_000, 500_000]
    view = await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
    assert [ticket["number"] for ticket in view["tickets"]] == [1]
    assert view["revoked_numbers"] == [2, 3]
    assert sorted(refund["numbers"] for refund in view["refunds"]) == [[2], [3]]
    mails = await whole.mailed("parts@example.com", 5)
    assert sum("ticket 2 of your order" in mail["text"] and "one is ill" in mail["text"] for mail in mails) == 2
    await whole.organise("POST", path, {"tier_id": str(tier), "quantity": 1}, service="orders")
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 15)
    await whole.sums_hold()


async def test_a_cancelled_event_gives_every_order_back_whatever_it_was_doing(whole: System) -> None:
    vip, free = await whole.tiers(
        {"name": "VIP", "capacity": 20, "price_kobo": 500_000}, {"name": "Lawn", "capacity": 20, "price_kobo": 0}
    )
    bought = [await whole.shop.checkout((vip, 2), email="off@example.com") for _ in range(3)]
    for order in bought:
        await whole.shop.pay(order)
    given = await whole.shop.checkout((free, 1))
    waiting = await whole.shop.checkout((vip, 1))
    page = await whole.shop.click(waiting.body["payment_url"])
    for order in (*bought, given):
        await paid(whole, order)
    event_id = await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", vip)
    for _ in range(2):
        await whole.organise("POST", f"/v1/admin/events/{event_id}/cancel", {"why": "The hall has no power."})
    refused = await whole.shop.checkout((vip, 1))
    assert (refused.status, refused.body["code"]) == (409, "not_on_sale")
    for order in (*bought, given):
        view = await whole.shop.until(order.order_id, order.token, {"refunded"}, 20)
        assert (view["event_cancelled"], view["why"], view["tickets"]) == (True, "The hall has no power.", [])
    view = await whole.shop.until(waiting.order_id, waiting.token, {"cancelled"}, 15)
    assert (view["event_cancelled"], view["why"]) == (True, "The hall has no power.")
    # Whoever had the page open and pays now is paid back as well.
    await whole.shop.settle(page.body["reference"])
    await until(lambda: whole.refunds(waiting.order_id), 15, "the late money goes back")
    await whole.sums_hold()
    assert [await stock(whole, tier) for tier in (vip, free)] == [(20, 0, 0), (20, 0, 0)]
    assert [await whole.refunds(order.order_id) for order in bought] == [[1_000_000]] * 3
    progress = await whole.organise("GET", f"/v1/admin/events/{event_id}/cancellation", service="orders")
    assert progress["is_done"]
    assert progress["orders"] | {"refunded": 4, "cancelled": 1} == progress["orders"]
    assert progress["refunds"] == {"refunded": {"count": 3, "amount_kobo": 3_000_000}}
    mails = await whole.mailed("off@example.com", 9)
    assert sum("The hall has no power." in mail["text"] for mail in mails) == 6, "at the start and at the end of each"
    shop_page = await whole.shop.get(f"{whole.url('gateway')}/v1/events/{event_id}")
    assert shop_page.body["cancelled_at"] is not None


async def test_sold_out_is_said_by_inventory_and_the_loser_pays_nothing(whole: System) -> None:
    tier = await whole.tier(1)
    answers = await asyncio.gather(*(whole.shop.checkout((tier, 1)) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert {answer.body["code"] for answer in answers if answer.status == 409} == {"sold_out"}
    (winner,) = [answer for answer in answers if answer.won]
    await whole.shop.pay(winner)
    await paid(whole, winner)
    await whole.sums_hold()


async def test_with_every_poll_at_an_hour_a_lone_order_goes_through_at_once(wirings: Callable[[], Wiring]) -> None:
    """Nothing on an order's way waits for a timer: each step is woken by the commit before it."""
    hour = 3600
    slow = {
        "poll_seconds": hour,
        "ask_again_seconds": hour,
        "ask_again_most_seconds": 2 * hour,
        "reassert_seconds": hour,
    }
    settings: dict[Any, dict[str, Any]] = {
        "orders": slow,
        "inventory": {**slow, "ask_hold_after_seconds": hour},
        "reaper": {**slow, "wake_seconds": hour},
        "ticketing": slow,
        "mailer": slow,
        "payments": {
            **slow,
            "verify_open_seconds": hour,
            "verify_closing_seconds": hour,
            "verify_closing_most_seconds": hour,
            "refund_poll_seconds": hour,
        },
        "gateway": {"poll_seconds": hour, "reassert_seconds": hour, "ask_again_seconds": hour,
                    "ask_again_most_seconds": hour},
    }  # fmt: skip
    async with system(wirings(), settings=settings) as one:
        order = await one.shop.checkout((await one.tier(10), 1), email="lone@example.com", prefer="wait=10")
        assert order.status == 201
        await one.shop.pay(order)
        await paid(one, order)
        await one.mailed("lone@example.com")
        await one.sums_hold()


@pytest.mark.parametrize("lines_per_order", [1, 2])
async def test_300_buyers_at_once_for_the_last_10_places_at_three_replicas(
    wirings: Callable[[], Wiring], lines_per_order: int
) -> None:
    """Through HTTP, the broker and three inventory replicas, all released in one instant."""
    # Nobody asks again: each order is to be handled once, however slow the machine.
    patient: dict[Any, dict[str, Any]] = {"orders": {"ask_again_seconds": 600, "ask_again_most_seconds": 600}}
    async with system(wirings(), settings=patient, replicas={"inventory": 3, "orders": 2, "gateway": 2}) as one:
        tier = await one.tier(10 * lines_per_order)
        lines = [(tier, 1)] * lines_per_order
        gate = asyncio.Event()

        async def contend(number: int) -> Answer:
            await gate.wait()
            shop = one.shop if number % 2 else others
            return await shop.checkout(*lines, email=f"buyer{number}@example.com", prefer="wait=30")

        async with Shop.open(one.url("gateway", 1), one.url("sandbox")) as others:
            contenders = [asyncio.create_task(contend(number)) for number in range(300)]
            gate.set()
            answers = await asyncio.gather(*contenders)
        assert sorted(answer.status for answer in answers) == [201] * 10 + [409] * 290
        assert await stock(one, tier) == (0, 10 * lines_per_order, 0)
        assert await one.value("inventory", "SELECT count(*) FROM holds WHERE status = 'held'") == 10
        handled = [
            line
            for replica in one.services["inventory"]
            for line in replica.metrics.render().decode().splitlines()
            if line.startswith('boxoffice_events_handled_total{type="order.created.v1"}')
        ]
        assert sum(float(line.split()[-1]) for line in handled) == 300


async def test_1000_orders_due_at_once_expire_once_each_with_two_reapers(wirings: Callable[[], Wiring]) -> None:
    """The deadline is one instant for all of them, and both replicas wake for it."""
    settings: dict[Any, dict[str, Any]] = {
        # No question is put twice here: what is counted is what each service said of itself.
        "orders": {"pay_within_seconds": 600, "ask_again_seconds": 60},
        "inventory": {"ask_again_seconds": 60, "ask_hold_after_seconds": 600},
        "reaper": {"ask_again_seconds": 60, "claim_limit": 100},
        "payments": {"ask_again_seconds": 60, "last_attempt_seconds": 0},
    }
    wiring = wirings()
    async with system(wiring, replicas={"reaper": 2, "orders": 2, "payments": 2}, settings=settings) as one:
        tier = await one.tier(1000)
        async with Wire(wiring.amqp_url, wiring.namespace) as wire:
            for _ in range(2):
                await wire.publish(*(checkout(None, (tier, 1)) for _ in range(500)))
        await until(lambda: holds(one, tier, 1000), 30, "all places are held")
        await until(lambda: one.value("reaper", "SELECT count(*) = 1000 FROM deadlines"), 30, "all deadlines are known")
        await until(lambda: one.value("orders", "SELECT count(total_kobo) = 1000 FROM orders"), 30, "orders has prices")
        await until(
            lambda: one.value("payments", "SELECT count(amount_kobo) = 1000 FROM payments"), 30, "so has payments"
        )
        await one.value("orders", "UPDATE orders SET created_at = now() - interval '1 h', expires_at = now()")
        await one.value("payments", "UPDATE payments SET expires_at = now()")
        await one.value("reaper", "UPDATE deadlines SET due_at = now(), expires_at = now()")
        for reaper in one.services["reaper"]:
            next(loop for loop in reaper.loops if loop.name == "reap").wake()
        await one.sums_hold(60)
        assert await stock(one, tier) == (1000, 0, 0)
        for service, message_type in (("reaper", "deadline.passed.v1"), ("orders", "order.expired.v1")):
            told = "SELECT sum(event_count) FROM outbox WHERE type = $1"
            assert await one.value(service, told, message_type) == 1000  # type: ignore[arg-type]
        assert await one.value("orders", "SELECT count(*) FROM orders WHERE status = 'expired'") == 1000


async def holds(whole: System, tier: UUID, places: int) -> bool:
    return (await stock(whole, tier))[1] == places


async def test_a_refused_mail_is_told_on_the_order_until_a_person_sends_it_again(whole: System) -> None:
    tier = await whole.tier(5)
    await whole.refuse_mail("typo@exmple.com", 550)
    order = await whole.shop.checkout((tier, 2), email="typo@exmple.com", prefer="wait=10")
    order_id = UUID(order.body["order_id"])
    clicked = await whole.shop.click(order.body["payment_url"])
    await whole.shop.settle(str(clicked.body["reference"]))

    async def problems() -> list[Any]:
        return list((await whole.shop.order(order_id, order.token))["mail_problems"])

    async def no_problems() -> bool:
        return not await problems()

    async def page() -> str:
        url = f"{whole.url('gateway')}/orders/{order_id}?token={order.token}"
        async with whole.session.get(url) as answer:
            return await answer.text()

    assert await until(problems, 30, "the refusal is told") == [{"kind": "tickets", "email": "t…@exmple.com"}]
    shown = await page()
    assert "with your tickets to t…@exmple.com was refused" in shown
    assert "550" not in shown
    seen = await whole.organise("GET", "/v1/admin/orders?email=typo@exmple.com", service="orders")
    (problem,) = seen["orders"][0]["mail_problems"]
    assert (problem["email"], problem["kind"]) == ("typo@exmple.com", "tickets")
    assert problem["why"].startswith("550")
    await whole.send_again(order_id, to="right@example.com")
    (mail,) = await whole.mailed("right@example.com")
    assert {one["content_type"] for one in mail["attachments"]} == {"image/png", "application/pdf", "text/calendar"}
    await until(no_problems, 30, "the refusal is told no more")
    assert "was refused" not in await page()
