"""Paystack's own lists held against our rows: nothing is missed, whatever was lost, whenever the sweep was killed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.journal import Journal
from deploy.sandbox.model import Transaction
from services.payments.service import PaymentsService, build
from shared.contracts.payments import PaymentConfirmedV1, PaymentRefundedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Note
from tests.integration.payments_support import Till, refund_of, settings, till
from tests.integration.test_ledger import close, fulfilled, terms
from tests.integration.test_payments_money import charged, refunds_at_paystack
from tests.waiting import until

KILLS = 20


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    """The database of payments."""
    return make_database("payments")


class Killed(BaseException):
    """The process is gone: nothing after this runs, not even what tidies up."""


@asynccontextmanager
async def process(one: Till, database_url: str, **changes: Any) -> AsyncIterator[PaymentsService]:
    """Another process with a sweep of its own, which is not started."""
    service = build(settings(database_url, paystack_url=one.paystack.url, **changes))
    await service.database.open()
    try:
        yield service
    finally:
        await service.paystack.close()
        await service.database.close()


def kill_after(service: PaymentsService, moments: int) -> None:
    """Kill it at a moment before or after one of its transactions or calls of Paystack."""
    left = moments

    def moment() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise Killed

    acquire, list_page = service.database.acquire, service.paystack.list_page

    @asynccontextmanager
    async def acquire_or_die() -> AsyncIterator[Any]:
        moment()
        async with acquire() as connection:
            yield connection
        moment()

    async def list_or_die(*arguments: Any, **options: Any) -> Any:
        page = await list_page(*arguments, **options)
        moment()
        return page

    vars(service.database)["acquire"] = acquire_or_die
    vars(service.paystack)["list_page"] = list_or_die


async def due_now(one: Till) -> None:
    """The time of both lists has come, and leases of the dead have run out."""
    await one.bench.value(
        "UPDATE sweeps SET next_at = app_now(), claimed_by = NULL, claimed_until = NULL RETURNING name"
    )


async def sweep(one: Till) -> None:
    """Sweep both lists to their end."""
    await due_now(one)
    while await one.service.sweep.run_once() == 0:
        pass


@pytest.mark.parametrize("meta", ["offset", "cursor"])
async def test_a_sweep_killed_20_times_misses_no_charge(database_url: str, meta: str, note: Note) -> None:
    seed = 20261125
    chance = random.Random(seed)
    async with till(database_url, paystack={"list_meta": meta}) as one:
        planted = set()
        for number in range(4):
            order = await one.order()
            reference = (await one.click(order.order_id))["reference"]
            await one.paystack.settle(reference, webhooks=0)
            planted.add(reference)
            await one.paystack.settle(f"other-shop-{number}", create=True, webhooks=0)
        # Given up: nobody would ask about them any more.
        await one.bench.value("UPDATE attempts SET verify_at = NULL RETURNING reference")
        for number in range(26):
            reference = f"bx-nobodys-{number}"
            await one.paystack.settle(reference, create=True, webhooks=0)
            planted.add(reference)
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": "bx-nobodys-3", "webhooks": 0})
        await one.paystack.idle()

        kills, later = 0, set()
        await due_now(one)
        for number in range(KILLS):
            # Each in a place of its own: most die within a page, some in the next one.
            async with process(one, database_url, sweep_page_rows=3) as service:
                kill_after(service, chance.randrange(1, 24))
                try:
                    await service.sweep.run_once()
                except Killed:
                    kills += 1
            await one.bench.value(
                "UPDATE sweeps SET claimed_until = now() - interval '1 s' WHERE claimed_by IS NOT NULL RETURNING name"
            )
            if number % 5 == 0:
                # While a window is under way there are new ones, which push the others on to later pages.
                reference = f"bx-later-{number}"
                await one.paystack.settle(reference, create=True, webhooks=0)
                later.add(reference)
        assert kills == KILLS, f"seed {seed}: the sweep was over before it was killed {KILLS} times"
        async with process(one, database_url, sweep_page_rows=3) as service:
            while await service.sweep.run_once() == 0:
                pass
        found = {
            row["reference"]
            for row in await one.bench.fetch("SELECT reference FROM charges WHERE verdict <> 'foreign'")
        }
        assert planted - found == set(), f"seed {seed}"
        pages, swept_to = await one.bench.value("SELECT (pages, swept_to) FROM sweeps WHERE name = 'transactions'")
        assert swept_to is not None
        # 34 rows by three: each page is done once, and not again from the beginning after each death.
        assert pages <= 13, "the sweep began again instead of going on"
        await sweep(one)
        found = {
            row["reference"]
            for row in await one.bench.fetch("SELECT reference FROM charges WHERE verdict <> 'foreign'")
        }
        assert planted | later == found
        assert len(await one.given_out(PaymentConfirmedV1)) == 4
        assert (await terms(one))["refunded"] == 5_000
    note(f"a sweep with a meta of {meta}: killed {kills} times, {len(planted)} charges planted and found (seed {seed})")


async def test_10000_open_payments_are_swept_within_the_budget(database_url: str, tmp_path: Path, note: Note) -> None:
    """One page of the list answers for as many attempts as it has rows; each alone would cost a call."""
    count, paid_each, rows, budget, window = 10_000, 250, 200, 4, 0.3
    file = tmp_path / "paystack.sqlite"
    journal, now = Journal(str(file)), datetime.now(UTC).timestamp()
    for number in range(count):
        is_paid = number % paid_each == 0
        journal.mark(
            Transaction(
                id=10**15 + number, reference=f"bx-open-{number}", access_code=f"code{number}", email="a@example.com",
                customer_id=1, requested_amount=500_000, amount=500_000, currency="NGN", domain="test",
                status="success" if is_paid else "abandoned", created_at=now - 60, paid_at=now if is_paid else None,
            )
        )  # fmt: skip
    await journal.saved()
    journal.close()
    changes = {
        "sweep_page_rows": rows,
        "other_per_minute": budget,
        "budget_window_seconds": window + 0.1,
        "paystack_timeout_seconds": 30.0,
    }
    async with till(database_url, paystack={"data_file": str(file)}, **changes) as one:
        await one.bench.value(
            "WITH made AS (INSERT INTO payments (order_id, amount_kobo, currency, expires_at)"
            " SELECT gen_random_uuid(), 500000, 'NGN', now() + interval '1 h' FROM generate_series(1, $1)"
            " RETURNING order_id),"
            " numbered AS (SELECT order_id, row_number() OVER () - 1 AS number FROM made)"
            " INSERT INTO attempts (reference, order_id, amount_kobo, currency, status, authorization_url, opened_at,"
            " verify_at) SELECT 'bx-open-' || number, order_id, 500000, 'NGN', 'open', 'http://x', now(), now()"
            " FROM numbered RETURNING 1",
            count,
        )
        await due_now(one)
        next(loop for loop in one.service.loops if loop.name == "sweep").wake()

        async def swept() -> bool:
            return bool(await one.bench.value("SELECT bool_and(swept_to IS NOT NULL) FROM sweeps"))

        await until(swept, 60, "both lists are swept")
        assert await one.bench.value("SELECT count(*) FROM charges") == count // paid_each
        assert await one.bench.value("SELECT count(*) FROM attempts WHERE verify_at <= now()") == 0
        looked = await one.bench.value("SELECT count(*) FROM attempts WHERE status = 'open' AND verify_count = 1")
        assert looked == count - count // paid_each
        calls = await one.paystack.call("GET", f"/sandbox/calls?window_seconds={window}")
        most = calls["all"]["max_in_window"]
        assert most <= budget
        assert set(calls["all"]["answers"]) == {"200"}
        assert calls["all"]["count"] <= count // rows + 5
    note(
        f"{count} open payments swept by {calls['all']['count']} calls, at most {most} in {window} s ({budget} allowed)"
    )


async def test_two_replicas_sweep_a_list_once(database_url: str) -> None:
    async with till(database_url) as one:
        # The running service would be a third.
        (own,) = [loop for loop in one.service.loops if loop.name == "sweep"]
        await own.stop(PATIENCE_SECONDS)
        for number in range(7):
            await one.paystack.settle(f"bx-nobodys-{number}", create=True, webhooks=0)
        await due_now(one)
        async with (
            process(one, database_url, sweep_page_rows=2) as first,
            process(one, database_url, sweep_page_rows=2) as second,
        ):
            await asyncio.gather(first.sweep.run_once(), second.sweep.run_once())
        calls = await one.paystack.call("GET", "/sandbox/calls")
        assert calls["list_transactions"]["count"] == 4
        assert await one.bench.value("SELECT count(*) FROM charges") == 7


async def test_a_dashboard_refund_of_a_fulfilled_order_un_pays_nothing_and_is_a_case_until_it_is_given_back(
    database_url: str,
) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        one.bench._seen = 0
        before = len(await one.given_out())
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": charge.reference, "webhooks": 0})
        await one.paystack.idle()
        assert await one.cases() == []
        await sweep(one)
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]
        assert (case["kind"], case["charge_id"], case["closed_by_hand"]) == (
            "refunded_elsewhere",
            charge.charge_id,
            True,
        )
        assert "revokes its tickets" in case["what_to_do"]
        assert (
            await one.bench.value("SELECT ended || ' ' || ticketed_charge_id FROM payments")
            == f"paid {charge.charge_id}"
        )
        one.bench._seen = 0
        assert len(await one.given_out()) == before, "nobody was told anything"
        whole = await terms(one)
        assert (whole["ticketed"], whole["refunded"], whole["open"]) == (0, charge.amount_kobo, 0)
        # The organiser gives the order back: tickets are revoked by now, and nothing is paid a second time.
        await one.bench.deliver(refund_of(charge, purpose="organiser"))
        await one.wait_for(PaymentRefundedV1)
        assert await one.cases() == []
        assert await refunds_at_paystack(one) == [(charge.amount_kobo, "processed")]
        assert (await terms(one))["refunded"] == charge.amount_kobo


async def test_what_the_operator_decides_of_a_dashboard_refund_is_kept(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        half = charge.amount_kobo // 2
        body = {"reference": charge.reference, "amount": half, "webhooks": 0}
        await one.paystack.call("POST", "/sandbox/refunds", body)
        await one.paystack.idle()
        await sweep(one)
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]
        assert await close(one, case["case_id"], reason="a gift for the long queue") == 200
        await sweep(one)
        assert await one.cases() == []
        whole = await terms(one)
        assert (whole["ticketed"], whole["refunded"], whole["settled"]) == (charge.amount_kobo - half, half, 0)


async def test_paystacks_news_of_a_dashboard_refund_needs_no_waiting(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": charge.reference})

        async def is_case() -> bool:
            return [kind for kind, _ in await one.cases()] == ["refunded_elsewhere"]

        await until(is_case, 20, "the refund is found at its webhook")


async def test_a_dashboard_refund_that_fails_leaves_the_tickets_paid(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        body = {"reference": charge.reference, "outcome": "needs-attention", "webhooks": 0}
        refund = await one.paystack.call("POST", "/sandbox/refunds", body)
        await one.paystack.idle()
        await sweep(one)
        assert [kind for kind, _ in await one.cases()] == ["refunded_elsewhere"]
        await one.paystack.call("POST", f"/sandbox/refunds/{refund['id']}", {"status": "failed", "webhooks": 0})
        await one.bench.value("UPDATE outside_refunds SET look_at = app_now() RETURNING look_at")
        await one.service.sweep.run_once()
        assert await one.cases() == []
        assert (await terms(one))["ticketed"] == charge.amount_kobo


async def test_a_dashboard_refund_closes_the_case_of_an_unknown_charge(database_url: str) -> None:
    async with till(database_url) as one:
        await one.paystack.settle("bx-never-heard-of", create=True, amount=70_000, webhooks=0)
        await sweep(one)
        assert [kind for kind, _ in await one.cases()] == ["unknown_reference"]
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": "bx-never-heard-of", "webhooks": 0})
        await one.paystack.idle()
        await sweep(one)
        assert await one.cases() == []
        assert (await terms(one))["refunded"] == 70_000


async def test_money_that_came_and_went_unheard_is_covered_by_its_refund(database_url: str) -> None:
    async with till(database_url) as one:
        order = await one.order()
        reference = (await one.click(order.order_id))["reference"]
        await one.paystack.settle(reference, webhooks=0)
        await one.paystack.call("POST", "/sandbox/refunds", {"reference": reference, "webhooks": 0})
        await one.paystack.idle()
        await sweep(one)
        assert await one.bench.value("SELECT verdict FROM charges") == "reversed"
        await sweep(one)
        assert await one.cases() == []
        assert (await terms(one))["refunded"] == order.total_kobo
        assert await one.given_out(PaymentConfirmedV1) == []


async def test_our_own_refunds_are_not_taken_for_another_hands(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(PaymentRefundedV1)
        await sweep(one)
        assert await one.bench.value("SELECT count(*) FROM outside_refunds") == 0
        # As after a restored backup: our row knows no id of Paystack's, and the note tells.
        await one.bench.value("UPDATE refunds SET provider_refund_id = NULL, status = 'requested', finished_at = NULL,"
                              " next_at = now() + interval '1 h' RETURNING id")  # fmt: skip
        await sweep(one)
        assert await one.bench.value("SELECT count(*) FROM outside_refunds") == 0


async def test_an_amount_that_differs_from_paystacks_list_is_a_case_until_it_does_not(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        await one.bench.value(
            "INSERT INTO findings (kind, charge_id, why) VALUES ('amount_differs', $1, 'x') RETURNING 1",
            charge.charge_id,
        )
        assert [kind for kind, _ in await one.cases()] == ["amount_differs"]
        await sweep(one)
        assert await one.cases() == []

        order = await one.order()
        reference = (await one.click(order.order_id))["reference"]
        await one.paystack.settle(reference, webhooks=0, amount=order.total_kobo - 100)
        said = {**await one.paystack.verify(reference), "amount": order.total_kobo}
        await one.webhook("charge.success", said)
        await sweep(one)
        (why,) = [row["why"] for row in await one.bench.fetch("SELECT why FROM findings WHERE closed_at IS NULL")]
        assert f"amount {order.total_kobo - 100} in Paystack's list, {order.total_kobo} when it came" in why


@pytest.mark.parametrize("broken", [lambda one: one.plant(down=True), lambda one: one.plant(fail_next=4)])
async def test_a_list_that_cannot_be_had_is_asked_for_again(database_url: str, broken: Callable[[Till], Any]) -> None:
    async with till(database_url) as one:
        await one.paystack.settle("bx-nobodys", create=True, webhooks=0)
        await broken(one)
        await due_now(one)
        assert await one.service.sweep.run_once() == 30.0
        await one.heal()
        assert await one.service.sweep.run_once() is not None
        assert await one.bench.value("SELECT count(*) FROM charges") == 1


async def test_a_lost_dispute_un_pays_nothing_and_is_a_case(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        dispute = {"reference": charge.reference, "due_seconds": 0.01, "webhooks": 0}
        await one.paystack.call("POST", "/sandbox/disputes", dispute)

        async def is_lost() -> bool:
            return bool((await one.paystack.verify(charge.reference))["status"] == "reversed")

        await until(is_lost, 20, "the bank decides for the customer")
        await sweep(one)
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]
        assert (case["kind"], case["charge_id"], case["closed_by_hand"]) == (
            "dispute_lost",
            charge.charge_id,
            True,
        )
        assert await one.bench.value("SELECT ended FROM payments") == "paid"
        whole = await terms(one)
        assert (whole["ticketed"], whole["refunded"]) == (0, charge.amount_kobo), (
            "the money is gone, the tickets are not"
        )
        kinds = "SELECT count(*) FROM journal WHERE kind = 'dispute_lost'"
        await sweep(one)
        assert await one.bench.value(kinds) == 1
        assert await close(one, case["case_id"], reason="lost, and the guest was here") == 200
        await sweep(one)
        assert await one.cases() == []
