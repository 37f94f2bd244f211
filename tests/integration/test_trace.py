"""One trace shows an order from HTTP to e-mail, and back: every event about it has the trace of the checkout."""

from collections.abc import AsyncIterator

import pytest

from deploy.demo.shop import Answer
from deploy.local.engines import Engines
from shared.contracts.base import OrderMessage
from shared.contracts.inventory import StockReturnedV1
from shared.contracts.orders import OrderRefundedV1
from shared.contracts.payments import PaymentRefundedV1
from shared.contracts.registry import SERVICES
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from shared.messaging.cloudevents import CONTENT_TYPE, Event, decode_batch
from shared.messaging.topology import durable_consumers
from shared.runtime.trace import trace_id_of
from tests.databases import MakeDatabase
from tests.system import System, make_wiring, system

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EMAIL = "traced@example.com"


@pytest.fixture
async def whole(engines: Engines, namespace: str, make_database: MakeDatabase) -> AsyncIterator[System]:
    async with system(make_wiring(engines.amqp_url, namespace, make_database)) as one:
        yield one


async def test_one_trace_shows_an_order_from_the_request_to_the_mails(whole: System) -> None:
    order = await checkout(whole)
    await whole.shop.pay(order)
    await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
    await whole.mailed(EMAIL)
    refund = f"/v1/admin/orders/{order.order_id}/refund"
    await whole.organise("POST", refund, {"why": "rain"}, service="orders")
    await whole.shop.until(order.order_id, order.token, {"refunded"}, 15)
    await whole.mailed(EMAIL, 3)
    await whole.quiet()

    events = await events_of(whole, order)
    far = {TicketsIssuedV1, TicketsRevokedV1, OrderRefundedV1, StockReturnedV1, PaymentRefundedV1}
    assert far <= {type(event.data) for event in events}, "the order did not come as far as this test wants to look"
    astray = [event.type for event in events if trace_id_of(event.traceparent) != TRACE]
    assert not astray, f"another trace than the request's: {astray}"
    mails = await whole.rows("mailer", "SELECT kind, traceparent FROM mails WHERE order_id = $1", order.order_id)
    assert {mail["kind"]: trace_id_of(mail["traceparent"]) for mail in mails} == dict.fromkeys(
        ("tickets", "refund_started", "refunded"), TRACE
    )


async def checkout(whole: System) -> Answer:
    """Buy two places with a trace of our own."""
    items = [{"tier_id": str(await whole.tier(10)), "quantity": 2}]
    return await whole.shop.request(
        "POST",
        f"{whole.url('gateway')}/v1/checkout",
        json={"items": items, "email": EMAIL},
        headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "Prefer": "wait=10"},
    )


async def events_of(whole: System, order: Answer) -> list[Event[OrderMessage]]:
    """Everything any service gave out about an order."""
    found = []
    assert {*durable_consumers(), "gateway"} == {*SERVICES}
    for service in durable_consumers():
        for row in await whole.rows(service, "SELECT type, body FROM outbox ORDER BY id"):
            found += [
                Event(event.id, event.time, event.data, event.traceparent)
                for event in decode_batch(row["body"], CONTENT_TYPE, row["type"])
                if isinstance(event.data, OrderMessage) and event.data.order_id == order.order_id
            ]
    return found
