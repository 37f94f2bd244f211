"""Whatever happens to money: the books equal Paystack's, each kobo is covered once, and the buyer's page says how.

All stories run at once on one system, which finds everything by itself: by webhooks, by asking, or by its sweep. One
checker holds every charge of Paystack's own ledger against tickets, refunds and open cases.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from deploy.demo.shop import Answer
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from tests.databases import fresh_databases
from tests.harness import Note, delete_namespace, new_namespace
from tests.integration.sandbox_support import KEY
from tests.system import SECRETS, System, make_wiring, system
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE_KOBO = 500_000
#: Seconds for a state that must come by itself; only ever spent when it does not.
PATIENCE_SECONDS = 60
SETTINGS: dict[Any, dict[str, Any]] = {
    "payments": {
        "sweep_every_seconds": 1,
        "paystack_timeout_seconds": 2,
        "refund_lookup_seconds": 0.3,
        "ask_again_seconds": 1,
        "last_attempt_seconds": 0,
        "verify_closing_seconds": 0.2,
        "verify_closing_most_seconds": 1,
        "refund_poll_seconds": 0.2,
        "refund_poll_most_seconds": 1,
        "link_wait_seconds": 5,
    },
}


@dataclass(frozen=True)
class End:
    """How a story ends: what the buyer's page says, and what covers each charge (by reference)."""

    order: Answer | None
    page: tuple[str, int, list[tuple[str, str]]] | None
    covers: Mapping[str, str]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(engines: Engines, templates: Templates) -> AsyncIterator[System]:
    """One system for all stories."""
    namespace = new_namespace()
    with fresh_databases(templates) as make_database:
        wiring = make_wiring(engines.amqp_url, namespace, make_database)
        async with system(wiring, settings=SETTINGS) as one:
            yield one
    await delete_namespace(engines.amqp_url, namespace)


class Buyer:
    """One order, with a page to pay."""

    def __init__(self, whole: System, order: Answer) -> None:
        self.whole, self.order, self.order_id = whole, order, order.order_id

    @classmethod
    async def at_the_till(cls, whole: System, tier: UUID, name: str) -> "Buyer":
        """Places are held."""
        order = await whole.shop.checkout((tier, 1), email=f"{name}@example.com", prefer="wait=20")
        assert order.status == 201, dict(order.body)
        return cls(whole, order)

    async def click(self) -> str:
        """Go to pay; the reference."""
        clicked = await self.whole.shop.click(self.order.body["payment_url"])
        assert clicked.status == 200, dict(clicked.body)
        return str(clicked.body["reference"])

    async def becomes(self, status: str, *, tickets: bool = False) -> None:
        """Wait for a status."""
        await self.whole.shop.until(self.order_id, self.order.token, {status}, PATIENCE_SECONDS, tickets=tickets)

    async def expires(self) -> None:
        """The time to pay passes now."""
        past = "now() - interval '1 s'"
        for service, statement in (
            (
                "orders",
                f"UPDATE orders SET expires_at = {past}, created_at = now() - interval '1 h' WHERE order_id = $1",
            ),
            ("payments", f"UPDATE payments SET expires_at = {past} WHERE order_id = $1"),
            ("reaper", f"UPDATE deadlines SET due_at = {past}, expires_at = {past} WHERE order_id = $1"),
        ):
            await self.whole.value(service, f"{statement} RETURNING 1", self.order_id)  # type: ignore[arg-type]
        for reaper in self.whole.services["reaper"]:
            next(loop for loop in reaper.loops if loop.name == "reap").wake()
        await self.becomes("expired")

    def ends(self, status: str, covers: Mapping[str, str], *, tickets: int = 0, refund: str | None = None) -> End:
        """The end of this buyer's story. ``refund`` is why money came back, as the page says."""
        return End(self.order, (status, tickets, [] if refund is None else [(refund, "refunded")]), covers)


async def settle(whole: System, reference: str, **decision: Any) -> Answer:
    """What happens at the bank."""
    settled = await whole.shop.settle(reference, **decision)
    assert settled.status == 200, dict(settled.body)
    return settled


async def sandbox(whole: System, method: str, path: str, body: Any = None) -> Any:
    """A call of the sandbox's own controls."""
    answer = await whole.shop.request(method, f"{whole.url('sandbox')}/sandbox/{path}", json=body)
    assert answer.status == 200, dict(answer.body)
    return answer.body


async def send_webhook(whole: System, data: Mapping[str, Any], *, key: str = KEY) -> int:
    """Send a charge.success; the status of the answer."""
    body = json.dumps({"event": "charge.success", "data": data}).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha512).hexdigest()
    url = f"{whole.url('payments')}/webhooks/paystack"
    return (await whole.shop.request("POST", url, data=body, headers={"x-paystack-signature": signature})).status


async def verified(whole: System, reference: str) -> dict[str, Any]:
    """The transaction as Paystack gives it."""
    url = f"{whole.url('sandbox')}/transaction/verify/{reference}"
    return dict((await whole.shop.get(url, headers={"Authorization": f"Bearer {KEY}"})).body["data"])


# --- The stories ----------------------------------------------------------------------------------------------------


async def webhook_lost(whole: System, tier: UUID) -> End:
    """The buyer pays, closes the browser, and no webhook comes."""
    buyer = await Buyer.at_the_till(whole, tier, "lost")
    reference = await buyer.click()
    await settle(whole, reference, webhooks=0)
    return buyer.ends("paid", {reference: "tickets"}, tickets=1)


async def webhook_five_times(whole: System, tier: UUID) -> End:
    buyer = await Buyer.at_the_till(whole, tier, "five")
    reference = await buyer.click()
    await settle(whole, reference, webhooks=5)
    return buyer.ends("paid", {reference: "tickets"}, tickets=1)


async def after_expiry(whole: System, tier: UUID) -> End:
    buyer = await Buyer.at_the_till(whole, tier, "late")
    reference = await buyer.click()
    await buyer.expires()
    await settle(whole, reference)
    return buyer.ends("expired", {reference: "refund"}, refund="late")


async def after_cancel(whole: System, tier: UUID) -> End:
    buyer = await Buyer.at_the_till(whole, tier, "cancelled")
    reference = await buyer.click()
    assert (await whole.shop.cancel(buyer.order_id, buyer.order.token)).status == 200
    await settle(whole, reference)
    return buyer.ends("cancelled", {reference: "refund"}, refund="late")


async def forged(whole: System, tier: UUID) -> End:
    buyer = await Buyer.at_the_till(whole, tier, "forged")
    reference = await buyer.click()
    data = {**await verified(whole, reference), "status": "success"}
    assert await send_webhook(whole, data, key="sk_test_somebody_else") == 401
    return buyer.ends("pending", {})


async def another(name: str, whole: System, tier: UUID) -> End:
    """For another amount, currency or domain."""
    decision: Any = {"amount": {"amount": 400_000}, "currency": {"currency": "GHS"}, "domain": {"domain": "live"}}[name]
    buyer = await Buyer.at_the_till(whole, tier, name)
    reference = await buyer.click()
    await settle(whole, reference, **decision)
    return buyer.ends("pending", {reference: "refund"}, refund="mismatch")


async def reference_of_another_order(whole: System, tier: UUID) -> End:
    """Only the reference says which order is paid: not what else the webhook says, nor whose page is looked at."""
    payer, other = [await Buyer.at_the_till(whole, tier, name) for name in ("payer", "other")]
    reference, others = await payer.click(), await other.click()
    await settle(whole, reference, webhooks=0)
    said = {**await verified(whole, reference), "metadata": {"order_id": str(other.order_id), "reference": others}}
    assert await send_webhook(whole, said) == 200
    back = await whole.shop.come_back(whole.url("payments"), reference)
    assert str(payer.order_id) in back.headers["Location"]
    await payer.becomes("paid", tickets=True)
    assert (await whole.shop.order(other.order_id, other.order.token))["status"] == "pending"
    return payer.ends("paid", {reference: "tickets"}, tickets=1)


async def unknown_with_our_prefix(whole: System, _: UUID) -> End:
    await settle(whole, "bx-nobodys-1", create=True, amount=70_000)
    return End(None, None, {"bx-nobodys-1": "unknown_reference"})


async def without_our_prefix(whole: System, _: UUID) -> End:
    await settle(whole, "other-shop-1", create=True, amount=80_000)
    return End(None, None, {"other-shop-1": "none of ours"})


async def two_charges(whole: System, tier: UUID) -> End:
    """The first card is declined, the second pays; then the first pays too."""
    buyer = await Buyer.at_the_till(whole, tier, "twice")
    first, second = await two_attempts(whole, buyer)
    await settle(whole, second)
    await buyer.becomes("paid", tickets=True)
    await settle(whole, first)
    return buyer.ends("paid", {second: "tickets", first: "refund"}, tickets=1, refund="double")


async def the_older_attempt_paid(whole: System, tier: UUID) -> End:
    buyer = await Buyer.at_the_till(whole, tier, "older")
    first, _ = await two_attempts(whole, buyer)
    await settle(whole, first)
    return buyer.ends("paid", {first: "tickets"}, tickets=1)


async def two_attempts(whole: System, buyer: Buyer) -> tuple[str, str]:
    """A declined page, which is still there, and a new one."""
    first = await buyer.click()
    await settle(whole, first, outcome="failed")
    await whole.shop.come_back(whole.url("payments"), first)
    second = await buyer.click()
    assert second != first
    return first, second


async def dashboard_refund(whole: System, tier: UUID) -> End:
    """A fulfilled order's money goes back behind our back: a person decides about its tickets."""
    buyer = await Buyer.at_the_till(whole, tier, "dashboard")
    reference = await buyer.click()
    await settle(whole, reference)
    await buyer.becomes("paid", tickets=True)
    await sandbox(whole, "POST", "refunds", {"reference": reference, "webhooks": 0})
    return buyer.ends("paid", {reference: "refunded_elsewhere"}, tickets=1)


async def refund_refused_after_admission(whole: System, _: UUID) -> End:
    """The ticket was used: it stays, and so does the money."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    happening = {"title": "Tonight", "venue": "Here", "starts_at": soon, "ends_at": soon + timedelta(hours=3)}
    event = await whole.organise("POST", "/v1/admin/events", {name: str(value) for name, value in happening.items()})
    tier = {"name": "VIP", "capacity": 5, "price_kobo": PRICE_KOBO}
    made = await whole.organise("POST", f"/v1/admin/events/{event['id']}/tiers", tier)
    buyer = await Buyer.at_the_till(whole, UUID(made["id"]), "admitted")
    reference = await buyer.click()
    await settle(whole, reference)
    view = await whole.shop.until(buyer.order_id, buyer.order.token, {"paid"}, PATIENCE_SECONDS, tickets=True)
    shown = {
        "admission_id": str(uuid4()),
        "event_id": event["id"],
        "ticket": view["tickets"][0]["code"],
        "gate": "north",
        "who": "Bisi",
        "at": datetime.now(UTC).isoformat(),
    }
    answer = await whole.shop.request(
        "POST",
        f"{whole.url('ticketing')}/v1/gate/checkins",
        json=shown,
        headers={"Authorization": f"Bearer {SECRETS.gate_token}"},
    )
    assert answer.status == 200, dict(answer.body)
    await whole.organise("POST", f"/v1/admin/orders/{buyer.order_id}/refund", {"why": "rain"}, service="orders")
    await buyer.becomes("paid", tickets=True)
    return buyer.ends("paid", {reference: "tickets"}, tickets=1)


async def before_the_reply(whole: System, tier: UUID) -> End:
    """The buyer's webhook is faster than the answer to our initialise."""
    buyer = await Buyer.at_the_till(whole, tier, "fast")
    await sandbox(whole, "POST", "faults", {"latency_seconds": 60.0, "endpoints": ["initialize"]})
    click = asyncio.create_task(whole.shop.click(buyer.order.body["payment_url"]))
    reference = await the_attempt(whole, buyer, "creating")
    await until(lambda: is_there(whole, reference), PATIENCE_SECONDS, "Paystack has the transaction")
    await settle(whole, reference)
    await buyer.becomes("paid", tickets=True)
    await sandbox(whole, "DELETE", "faults")
    await click
    return buyer.ends("paid", {reference: "tickets"}, tickets=1)


async def charge_then_time_out(whole: System, tier: UUID) -> End:
    """Our call to initialise never gets its answer, and the page is paid all the same."""
    buyer = await Buyer.at_the_till(whole, tier, "timeout")
    await sandbox(whole, "POST", "faults", {"timeout_after_charge": 1, "endpoints": ["initialize"]})
    clicked = await whole.shop.click(buyer.order.body["payment_url"])
    assert clicked.status == 503
    assert (await sandbox(whole, "GET", "faults"))["timeout_after_charge"] == 0, "the planned fault did not happen"
    await sandbox(whole, "DELETE", "faults")
    reference = await the_attempt(whole, buyer, "unknown")
    await settle(whole, reference, webhooks=0)
    return buyer.ends("paid", {reference: "tickets"}, tickets=1)


async def refund_then_time_out(whole: System, tier: UUID) -> End:
    """Our call to refund never gets its answer: it is looked up, and not repeated."""
    buyer = await Buyer.at_the_till(whole, tier, "unanswered")
    reference = await buyer.click()
    assert (await whole.shop.cancel(buyer.order_id, buyer.order.token)).status == 200
    await sandbox(whole, "POST", "faults", {"timeout_after_charge": 1, "endpoints": ["create_refund"]})
    await settle(whole, reference)

    async def happened() -> bool:
        return bool((await sandbox(whole, "GET", "faults"))["timeout_after_charge"] == 0)

    await until(happened, PATIENCE_SECONDS, "the answer to the refund is lost")
    await sandbox(whole, "DELETE", "faults")
    return buyer.ends("cancelled", {reference: "refund"}, refund="late")


async def the_attempt(whole: System, buyer: Buyer, status: str) -> str:
    """The reference of the order's one attempt, once it has a status."""
    statement = "SELECT reference FROM attempts WHERE order_id = $1 AND status = $2"

    async def there() -> Any:
        return await whole.value("payments", statement, buyer.order_id, status)

    return str(await until(there, PATIENCE_SECONDS, f"an attempt is {status}"))


async def is_there(whole: System, reference: str) -> bool:
    url = f"{whole.url('sandbox')}/transaction/verify/{reference}"
    return bool((await whole.shop.get(url, headers={"Authorization": f"Bearer {KEY}"})).status == 200)


#: Faults are planted for the whole of the sandbox, so these go first, one after the other.
ALONE: list[Callable[[System, UUID], Awaitable[End]]] = [before_the_reply, charge_then_time_out, refund_then_time_out]
AT_ONCE: list[Callable[[System, UUID], Awaitable[End]]] = [
    webhook_lost,
    webhook_five_times,
    after_expiry,
    after_cancel,
    forged,
    *(partial(another, name) for name in ("amount", "currency", "domain")),
    reference_of_another_order,
    unknown_with_our_prefix,
    without_our_prefix,
    two_charges,
    the_older_attempt_paid,
    dashboard_refund,
    refund_refused_after_admission,
]


# --- The checker ----------------------------------------------------------------------------------------------------


async def faults_of(whole: System, ends: list[End]) -> list[str]:
    """What does not hold: of the ledger, of any charge's cover, of any buyer's page."""
    books = await whole.organise("GET", "/v1/admin/ledger", service="payments")
    theirs = await whole.shop.ledger()
    covers = {reference: cover for end in ends for reference, cover in end.covers.items()}
    rows = await whole.rows(
        "payments",
        "SELECT charges.*, charge_balances.* FROM charges LEFT JOIN charge_balances USING (charge_id)",
    )
    ours = {row["reference"]: row for row in rows}
    cases = {one["charge_id"]: one["kind"] for one in books["cases"]}
    faults = [f"{check['name']}: {check['faults']}" for check in books["checks"] if not check["holds"]]
    if {charge["reference"] for charge in theirs["charges"]} != set(covers):
        faults.append("other charges than the stories'")
    for charge in theirs["charges"]:
        row = ours.get(charge["reference"])
        faults += [f"{charge['reference']} {fault}" for fault in await cover_faults(whole, charge, row, cases, covers)]
    captured: dict[str, int] = {}
    for charge in theirs["charges"]:
        if covers.get(charge["reference"]) != "none of ours":
            captured[charge["currency"]] = captured.get(charge["currency"], 0) + charge["amount"]
    if captured != {row["currency"]: row["captured_kobo"] for row in books["currencies"]}:
        faults.append(f"captured: {captured} at Paystack, {books['currencies']}")
    for end in ends:
        if end.order is not None and await page_of(whole, end.order) != end.page:
            faults.append(f"the page says {await page_of(whole, end.order)} instead of {end.page}")
    return faults


async def cover_faults(
    whole: System, charge: Mapping[str, Any], row: Any, cases: Mapping[str, str], covers: Mapping[str, str]
) -> list[str]:
    """What is wrong with the cover of one charge of Paystack's own ledger: it must be exactly the one of its story."""
    if row is None:
        return ["is not known"]
    cover, case = covers.get(charge["reference"]), cases.get(row["charge_id"])
    if cover == "none of ours":
        return [] if (row["verdict"], row["captured_kobo"], case) == ("foreign", None, None) else ["is counted as ours"]
    if row["captured_kobo"] is None:
        return ["is not booked"]
    amount = charge["amount"]
    faults = [] if row["captured_kobo"] == amount else [f"of {amount} is booked as {row['captured_kobo']}"]
    if (row["fees_kobo"] or 0) != charge["fees"]:
        faults.append("has another fee")
    worth = await valid_worth(whole, row) if row["order_id"] else 0
    # Tickets whose money is gone are what the case is about: they cover nothing.
    worth = 0 if cover == "refunded_elsewhere" else worth
    parts = {
        "tickets": (row["tickets_kobo"], worth),
        "refund": (row["refunded_kobo"], charge["refunded"]),
        "case": (row["open_kobo"] + row["owed_kobo"], amount if cover == "unknown_reference" else 0),
    }
    faults += [f"{name}: {booked} booked, {real} in truth" for name, (booked, real) in parts.items() if booked != real]
    if sum(real for _, real in parts.values()) != amount:
        faults.append(f"of {amount} is covered by {parts}")
    wanted = None if cover in {"tickets", "refund"} else cover
    if case != wanted:
        faults.append(f"is the case {case} and not {wanted}")
    if cover in {"tickets", "refund"} and parts[cover][1] != amount:
        faults.append(f"is not covered by {cover}")
    return faults


async def valid_worth(whole: System, row: Any) -> int:
    """What the valid tickets are worth that name this charge."""
    statement = "SELECT ticketed_charge_id FROM payments WHERE order_id = $1"
    if await whole.value("payments", statement, row["order_id"]) != row["charge_id"]:
        return 0
    valid = "SELECT count(*) FROM tickets WHERE status = 'valid' AND order_id = $1"
    return int(await whole.value("ticketing", valid, row["order_id"])) * PRICE_KOBO


async def page_of(whole: System, order: Answer) -> tuple[str, int, list[tuple[str, str]]]:
    """What the buyer's order page says: status, valid tickets, and each refund's purpose and state."""
    view = await whole.shop.order(order.order_id, order.token)
    tickets = [ticket for ticket in view.get("tickets") or () if not ticket.get("revoked")]
    refunds = sorted((one["purpose"], one["status"]) for one in view.get("refunds") or ())
    return view["status"], len(tickets), refunds


async def test_each_kobo_is_covered_once_whatever_happens(whole: System, note: Note) -> None:
    tier = await whole.tier(1000, price_kobo=PRICE_KOBO)
    ends = [await story(whole, tier) for story in ALONE]
    ends += await asyncio.gather(*(story(whole, tier) for story in AT_ONCE))
    faults: list[str] = []

    async def hold() -> bool:
        faults[:] = await faults_of(whole, ends)
        return not faults

    try:
        await until(hold, PATIENCE_SECONDS, "every kobo is covered once")
    except AssertionError as error:
        raise AssertionError("; ".join(faults)) from error
    await whole.quiet()
    assert await faults_of(whole, ends) == [], "it held, and then no more"
    note(f"money: {len(ends)} stories, {sum(len(end.covers) for end in ends)} charges, each covered once")


async def test_the_checker_notices_what_is_covered_twice_or_not_at_all(whole: System) -> None:
    """The checks above can fail: each charge is held against another cover than its own."""
    charges = (await whole.shop.ledger())["charges"]
    assert charges, "the stories come first"
    rows = await whole.rows(
        "payments", "SELECT charges.*, charge_balances.* FROM charges LEFT JOIN charge_balances USING (charge_id)"
    )
    ours = {row["reference"]: row for row in rows}
    for charge in charges:
        row = ours[charge["reference"]]
        right = [
            cover
            for cover in ("tickets", "refund", "unknown_reference", "refunded_elsewhere", "none of ours")
            if not await cover_faults(
                whole,
                charge,
                row,
                {} if cover in {"tickets", "refund", "none of ours"} else {row["charge_id"]: cover},
                {charge["reference"]: cover},
            )
        ]
        assert len(right) == 1 or right == ["refund", "refunded_elsewhere"], f"{charge['reference']}: {right}"
    assert await cover_faults(whole, charges[0], None, {}, {}) == ["is not known"]
