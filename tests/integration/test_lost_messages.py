"""P5: one message of each type is dropped, then dead-lettered, on its way to each service that takes it in; every
order still reaches its right end without a person."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from copy import copy
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from deploy.demo.shop import Answer, Shop
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from services.gateway.domain import order_id_of
from shared.contracts.registry import CONSUMERS, ServiceName
from shared.messaging.consumer import Consumer
from shared.messaging.delivery import Delivery
from shared.messaging.handling import Done, Handling, Outcome
from shared.messaging.topology import durable_consumers
from shared.messaging.verdicts import DeadLetter
from shared.runtime.service import Service
from tests.databases import fresh_databases
from tests.harness import Note, Wire, delete_namespace, delivery_of, new_namespace
from tests.system import SECRETS, System, make_wiring, system
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REASON = "lost on purpose"
#: A test card of Paystack's whose charge cannot be refunded.
REFUND_FAILS = "4084080000671803"
#: The mail server refuses this address.
REFUSED = "refused@example.com"
#: Every pause before a question is asked again, shortened.
SOON = {"ask_again_seconds": 0.3, "ask_again_most_seconds": 2}
SETTINGS: dict[Any, dict[str, Any]] = {
    "gateway": SOON,
    "orders": {**SOON, "pay_within_seconds": 10, "remind_after_deadline_seconds": 1,
               "on_dispute": "block"},
    "inventory": {**SOON, "ask_hold_after_seconds": 1},
    "reaper": SOON,
    "payments": {**SOON, "last_attempt_seconds": 0, "link_wait_seconds": 1, "verify_closing_seconds": 0.2,
                 "verify_closing_most_seconds": 1, "refund_poll_seconds": 0.2, "refund_poll_most_seconds": 1},
}  # fmt: skip

#: What happens to an order, the messages that are part of it, and the status it must end in.
STORIES: dict[str, tuple[Sequence[str], str]] = {
    "paid": (
        ("checkout.requested.v1", "order.created.v1", "stock.reserved.v1", "payment.confirmed.v1", "order.paid.v1",
         "tickets.issued.v1"),
        "paid",
    ),
    "left": (("deadline.passed.v1", "payment.abandoned.v1", "order.expired.v1"), "expired"),
    "cancelled": (("cancel.requested.v1", "order.cancelled.v1"), "cancelled"),
    "sold out": (("stock.rejected.v1", "order.rejected.v1"), "rejected"),
    "refunded": (
        ("revoke.requested.v1", "tickets.revoked.v1", "order.refunded.v1", "stock.returned.v1",
         "refund.requested.v1", "refund.started.v1", "payment.refunded.v1"),
        "refunded",
    ),
    "refund fails": (("refund.failed.v1",), "refunding"),
    "mail refused": (("mail.failed.v1", "mail.sent.v1"), "paid"),
    "disputed": (("dispute.changed.v1", "dispute.noted.v1", "block.requested.v1", "tickets.blocked.v1"), "paid"),
    "event cancelled": (("event.cancelled.v1", "cancellation.started.v1"), "refunded"),
}  # fmt: skip
MODES = ("dropped", "dead-lettered")
#: Not here: what only a running gateway hears, of which another test shows that it reads again.
LOSSES = [
    (story, message_type, service, mode)
    for story, (types, _) in STORIES.items()
    for message_type in types
    for service in durable_consumers()
    if message_type in {model.TYPE for model in CONSUMERS[service]}
    for mode in MODES
]
#: Lost in a test of its own, since only a buyer who clicks in vain makes it.
LOST_ALONE = {("stock.asked.v1", "inventory")}


class Losing:
    """Stands between the queue and the handlers of one service, and loses chosen events once."""

    def __init__(self, service: Service) -> None:
        consumer = vars(service)["_consumer"]
        assert isinstance(consumer, Consumer)
        assert service.handling is not None
        self._consumer = consumer
        self._inner: Handling = service.handling
        vars(consumer)["_handling"] = self
        self.plan: dict[tuple[str, UUID], str] = {}
        self.done: set[tuple[str, UUID]] = set()

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """As Handling does, less what is to be lost."""
        rest = [await self._lose(delivery) for delivery in deliveries]
        # No message is ever empty, so one that lost all its events goes to no handler.
        outcomes = iter(await self._inner.handle([one for one in rest if one.events or one.unreadable]))
        return [next(outcomes) if delivery.events or delivery.unreadable else Done() for delivery in rest]

    async def _lose(self, delivery: Delivery) -> Delivery:
        kept = []
        for event in delivery.events:
            key = _key(event.data)
            if key not in self.plan or key in self.done:
                kept.append(event)
                continue
            self.done.add(key)
            if self.plan[key] == "dead-lettered":
                await self._consumer._pass_on(delivery_of(event.data), DeadLetter(REASON))
        if len(kept) == len(delivery.events):
            return delivery
        rest = copy(delivery)
        # Not by ``replace``: a new Delivery reads its body, and has all events again.
        rest.events = tuple(kept)
        return rest


def _key(data: Any) -> tuple[str, UUID]:
    return data.TYPE, data.subject


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lossy(engines: Engines, templates: Templates) -> AsyncIterator[tuple[System, dict[ServiceName, Losing]]]:
    namespace = new_namespace()
    with fresh_databases(templates) as make_database:
        async with system(make_wiring(engines.amqp_url, namespace, make_database), settings=SETTINGS) as one:
            yield one, {name: Losing(one.services[name][0]) for name in durable_consumers()}
    await delete_namespace(engines.amqp_url, namespace)


async def test_whatever_is_lost_once_every_order_reaches_its_right_end(
    lossy: tuple[System, dict[ServiceName, Losing]], engines: Engines, note: Note
) -> None:
    whole, losing = lossy
    await whole.refuse_mail(REFUSED, 550)
    tier, none_left = await whole.tiers(
        {"name": "VIP", "capacity": 1000, "price_kobo": 500_000}, {"name": "Gone", "capacity": 0, "price_kobo": 500_000}
    )
    secret = SECRETS.token_keys.split(":")[1].encode()
    await asyncio.gather(*(lose(whole, losing, secret, loss, tier, none_left) for loss in LOSSES))
    planned = {key for one in losing.values() for key in one.plan}
    happened = {key for one in losing.values() for key in one.done}
    assert happened == planned, f"never came, so never lost: {planned - happened}"
    failing = sum(story == "refund fails" for story, *_ in LOSSES)
    await whole.sums_hold(60, cases=failing)
    async with Wire(engines.amqp_url, whole.wiring.namespace) as wire:
        dead = [
            one for service in durable_consumers() for one in await wire.dead_letters(wire.topology.dead_queue(service))
        ]
    assert {one.headers["x-reason"] for one in dead} == {REASON}
    assert len(dead) == len(LOSSES) // 2
    note(f"{len(LOSSES)} messages lost, {len(dead)} of them as dead letters; every order ended as it should")


@pytest.mark.parametrize("mode", [None, *MODES])
async def test_a_buyer_can_pay_although_payments_never_heard_of_the_order(
    lossy: tuple[System, dict[ServiceName, Losing]], engines: Engines, mode: str | None
) -> None:
    """Nothing else is under way that would repeat the reservation by chance: the buyer's click has it repeated.

    Where the first click's question is lost as well, the next click asks again.
    """
    whole, losing = lossy
    secret = SECRETS.token_keys.split(":")[1].encode()
    tier = await whole.tier(1)
    key = uuid4().hex
    order_id = order_id_of(secret, key)
    reservation, question = ("stock.reserved.v1", order_id), ("stock.asked.v1", order_id)
    losing["payments"].plan[reservation] = "dropped"
    if mode is not None:
        losing["inventory"].plan[question] = mode
    order = await whole.shop.checkout((tier, 1), key=key, prefer="wait=10")
    await until(lambda: reservation in losing["payments"].done, 10, "the reservation is lost on its way to payments")
    if mode is not None:
        assert (await whole.shop.click(order.body["payment_url"])).status == 503
        assert question in losing["inventory"].done, "the first question was not lost"
    await pay(whole.shop, order, card=None)
    await whole.shop.until(order_id, order.token, {"paid"}, 10, tickets=True)
    asked = "SELECT count(*) FROM outbox WHERE type = 'stock.asked.v1' AND convert_from(body, 'UTF8') LIKE $1"
    assert await whole.value("payments", asked, f"%{order_id}%") >= (1 if mode is None else 2)
    async with Wire(engines.amqp_url, whole.wiring.namespace) as wire:
        dead = await wire.dead_letters(wire.topology.dead_queue("inventory"))
    assert [one.headers["x-reason"] for one in dead] == ([REASON] if mode == "dead-lettered" else [])


async def test_every_message_is_lost_on_its_way_to_every_service_that_takes_it_in() -> None:
    """A new message, or a new consumer of one, needs a story in which it is lost."""
    lost = {(message_type, service, mode) for _, message_type, service, mode in LOSSES}
    alone = {(message_type, service, mode) for message_type, service in LOST_ALONE for mode in MODES}
    there_are = {
        (model.TYPE, service, mode) for service in durable_consumers() for model in CONSUMERS[service] for mode in MODES
    }
    assert lost | alone == there_are


async def lose(
    whole: System,
    losing: dict[ServiceName, Losing],
    secret: bytes,
    loss: tuple[str, str, ServiceName, str],
    tier: UUID,
    none_left: UUID,
) -> None:
    story, message_type, service, mode = loss
    key = uuid4().hex
    order_id = order_id_of(secret, key)
    chosen, about = none_left if story == "sold out" else tier, order_id
    if story == "event cancelled":
        # An event of its own: this loss is about the event and not about its order.
        chosen = await whole.tier(1)
        about = await event_of(whole, chosen)
    losing[service].plan[message_type, about] = mode
    email = REFUSED if story == "mail refused" else "ada@example.com"
    order = await whole.shop.checkout((chosen, 1), key=key, prefer="wait=20", email=email)
    try:
        await play(whole, whole.shop, story, order, order_id)
        if story == "mail refused":
            # Nobody waits for these, so the order's end does not show that they came.
            await until(lambda: (message_type, order_id) in losing[service].done, 40, f"{message_type} is lost")
    except Exception as error:
        raise AssertionError(f"{story}, with {message_type} {mode} on its way to {service}: {error}") from error


async def play(whole: System, shop: Shop, story: str, order: Answer, order_id: UUID) -> None:
    _, end = STORIES[story]
    assert order.status == (409 if story == "sold out" else 201), dict(order.body)
    if story in {"paid", "refunded", "refund fails", "mail refused", "disputed"}:
        await pay(shop, order, card=REFUND_FAILS if story == "refund fails" else None)
        await shop.until(order_id, order.token, {"paid"}, 30, tickets=True)
    if story in {"refunded", "refund fails"}:
        await whole.organise("POST", f"/v1/admin/orders/{order_id}/refund", {"why": "rain"}, service="orders")
    if story == "mail refused":
        await whole.send_again(order_id, to="ada@example.com")
    if story == "disputed":
        await win_dispute(whole, order_id)
    if story == "event cancelled":
        await pay(shop, order, card=None)
        await shop.until(order_id, order.token, {"paid"}, 30, tickets=True)
        tier = UUID(order.body["lines"][0]["tier_id"])
        path = f"/v1/admin/events/{await event_of(whole, tier)}/cancel"
        await whole.organise("POST", path, {"why": "no power"})
        heard = "SELECT cancel_ask_at IS NULL FROM events JOIN tiers ON event_id = events.id WHERE tiers.id = $1"
        await until(lambda: whole.value("inventory", heard, tier), 30, "inventory knows that orders has begun")
    if story == "cancelled":
        await shop.cancel(order_id, order.token)
    if story == "refund fails":
        await until(lambda: refund_failed(whole, order_id), 30, "the order knows that its refund failed")
    elif story != "sold out":
        await shop.until(order_id, order.token, {end}, 40)
    await until(lambda: ended(whole, order_id), 40, "the reaper has heard of the end")


async def pay(shop: Shop, order: Answer, *, card: str | None) -> None:
    """Pay, as a buyer whose page reloads itself when payments has not heard of the order."""
    for _ in range(10):
        clicked = await shop.click(order.body["payment_url"])
        if clicked.status == 200:
            break
    assert clicked.status == 200, dict(clicked.body)
    await shop.settle(str(clicked.body["reference"]), **({"card": card} if card else {}))


async def win_dispute(whole: System, order_id: UUID) -> None:
    """A customer disputes the charge, the tickets are blocked; the dispute is won, and they let in again."""
    charge = await whole.value("payments", "SELECT reference FROM charges WHERE order_id = $1", order_id)
    sandbox = whole.url("sandbox")
    opened = await whole.shop.request("POST", f"{sandbox}/sandbox/disputes", json={"reference": charge})
    noted = "SELECT noted_status = $2 AND tickets = $3 FROM disputes WHERE order_id = $1"
    blocked = "SELECT blocked_at IS NOT NULL FROM orders WHERE order_id = $1"
    await until(lambda: whole.value("payments", noted, order_id, "open", "blocked"), 30, "the dispute is known")
    assert await whole.value("ticketing", blocked, order_id)
    answer = {"resolution": "declined", "message": "they came", "refund_amount": 0, "uploaded_filename": "proof.pdf"}
    await whole.shop.request(
        "PUT",
        f"{sandbox}/dispute/{opened.body['id']}/resolve",
        json=answer,
        headers={"Authorization": "Bearer sk_test_boxoffice"},
    )
    await until(lambda: whole.value("payments", noted, order_id, "won", "valid"), 30, "its end is known")
    assert not await whole.value("ticketing", blocked, order_id)


async def event_of(whole: System, tier: UUID) -> UUID:
    """The event of a tier, as any UUID is."""
    return UUID(str(await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", tier)))


async def ended(whole: System, order_id: UUID) -> bool:
    return bool(await whole.value("reaper", "SELECT ended FROM deadlines WHERE order_id = $1", order_id))


async def refund_failed(whole: System, order_id: UUID) -> bool:
    details = await whole.value("orders", "SELECT details FROM orders WHERE order_id = $1", order_id)
    return any(one.get("status") == "failed" for one in details.get("refunds", ()))
