"""P10 on the wire and at the bank: what is no message, and money that is not what was asked for, changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio

from deploy.local.databases import Templates
from deploy.local.engines import Engines
from shared.contracts.orders import OrderChangedV1
from shared.contracts.registry import CONSUMERS
from shared.contracts.schemas import SAMPLES
from shared.messaging.cloudevents import MAX_BYTES
from shared.messaging.topology import durable_consumers
from tests.databases import fresh_databases
from tests.harness import Wire, delete_namespace, new_namespace
from tests.integration.bad_input_support import a_good_order_goes_through, all_rows, at_rest
from tests.system import System, make_wiring, system
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(engines: Engines, templates: Templates) -> AsyncIterator[System]:
    namespace = new_namespace()
    with fresh_databases(templates) as make_database:
        async with system(make_wiring(engines.amqp_url, namespace, make_database)) as one:
            yield one
    await delete_namespace(engines.amqp_url, namespace)


def bad_messages(message_type: str) -> dict[str, dict[str, Any]]:
    """Messages that look like one of this type, by the reason in their dead letters."""
    (envelope, *_) = orjson.loads((SAMPLES / message_type / "0001-first-release.json").read_bytes())
    body = orjson.dumps([envelope])
    later = message_type.removesuffix("1") + "2"

    def one(**changes: Any) -> dict[str, Any]:
        return {"body": orjson.dumps([{**envelope, **changes}])}

    return {
        "Unreadable: the body is not JSON: unexpected end": {"body": body[: len(body) // 2]},
        "Unreadable: the body is not JSON: unexpected content": {"body": body + b"]"},
        "Unreadable: the body is not JSON: str is not valid UTF-8": {"body": b"\xff" + body},
        "Unreadable: the content type is 'application/json'": {"body": body, "content_type": "application/json"},
        f"UnknownType: no model reads the type '{later}'": {**one(type=later), "message_type": later},
        "UnknownType: no model reads the type 'nonsense'": {"body": body, "message_type": "nonsense"},
        "Unreadable: event 0 is not a CloudEvents 1.0": one(type=later),
        "Unreadable: event 0 is not a CloudEvents 1.0 ": one(specversion="0.3"),
        "Unreadable: the body is not a list of 1 to 500": {"body": orjson.dumps([envelope] * 501)},
        "Unreadable: the body is not a list of 1 to 500 ": {"body": b"[]"},
        "Unreadable: the body is not a list of 1 to 500 e": {"body": body[1:-1]},
        f"Unreadable: the message has {MAX_BYTES + 1} bytes": {"body": body[:-1].ljust(MAX_BYTES) + b"]"},
        "Unreadable: event 0 is malformed: TypeError": {"body": b"[null]"},
        "Unreadable: event 0 is malformed: ValueError": one(id="1"),
        "Unreadable: event 0 is malformed: KeyError": {"body": b'[{"specversion":"1.0"}]'},
        "Unreadable: event 0, ": one(data={}),
        "Unreadable: event 0, : Input should be": one(data=None),
        **{
            f"Unreadable: event 0, {name}": one(data={**envelope["data"], name: wrong})
            for name, wrong in WRONG.items()
            if name in envelope["data"]
        },
    }


#: Values no field of these names may have, in whatever message.
WRONG: dict[str, Any] = {
    "order_id": "VIP",
    "items": [{"tier_id": "01a1d964-9e42-788c-be59-a6aec298c360", "quantity": -1}],
    "lines": [],
    "email": "a@example.com\nBcc: b@example.com",
    "amount_kobo": -1,
    "total_kobo": 1.5,
    "currency": "naira",
    "charge_id": 7,
    "reference": "a\0b",
    "expires_at": "soon",
    "tickets": [{}],
    "numbers": [0],
}


async def test_what_is_no_message_is_a_dead_letter_with_its_reason_and_changes_nothing(
    whole: System, engines: Engines
) -> None:
    tier = await whole.tier(1000)
    await a_good_order_goes_through(whole, tier)
    before = await all_rows(whole)
    async with Wire(engines.amqp_url, whole.wiring.namespace) as wire:
        for service in durable_consumers():
            sent: list[str] = []
            for model in CONSUMERS[service]:
                for reason, fields in bad_messages(model.TYPE).items():
                    message = {"exchange": "", "routing_key": wire.topology.queue(service), "message_type": model.TYPE}
                    await wire.publish_raw(**message | fields)
                    sent.append(reason.rstrip())
            dead = wire.topology.dead_queue(service)

            async def all_dead(dead: str = dead, count: int = len(sent)) -> bool:
                return await wire.depth(dead) >= count

            await until(all_dead, 30, f"{len(sent)} dead letters of {service}")
            letters = [str(letter.headers["x-reason"]) for letter in await wire.dead_letters(dead)]
            wrong = [(why, reason) for why, reason in zip(letters, sent, strict=True) if not why.startswith(reason)]
            assert not wrong, f"{service}: {wrong}"
        await at_rest(whole)
        assert await all_rows(whole) == before
        await a_good_order_goes_through(whole, tier)


async def test_a_gateway_that_hears_nonsense_goes_on_telling_buyers(whole: System, engines: Engines) -> None:
    order = await whole.shop.checkout((await whole.tier(10), 1))
    stream = f"{whole.url('gateway')}/v1/orders/{order.order_id}/stream?token={order.token}"
    async with Wire(engines.amqp_url, whole.wiring.namespace) as wire, whole.session.get(stream) as response:
        for fields in bad_messages(OrderChangedV1.TYPE).values():
            message = {"exchange": wire.topology.events, "routing_key": OrderChangedV1.TYPE}
            await wire.publish_raw(**message | fields)
        await whole.shop.cancel(order.order_id, order.token)
        async with asyncio.timeout(20):
            async for line in response.content:
                if b'"status":"cancelled"' in line:
                    break
            else:
                pytest.fail("the stream ended")


@pytest.mark.parametrize(
    "wrong", [{"amount": 1}, {"amount": 999_999}, {"amount": 1_000_001}, {"currency": "USD"}], ids=str
)
async def test_money_that_is_not_what_was_asked_for_buys_nothing_and_goes_back(
    whole: System, wrong: dict[str, Any]
) -> None:
    tier = await whole.tier(10)
    email = f"{uuid4().hex}@example.com"
    order = await whole.shop.checkout((tier, 2), email=email)
    await at_rest(whole)
    untouched = ("inventory.tiers", "inventory.holds", "ticketing.orders", "ticketing.tickets")
    before = await all_rows(whole)
    await whole.shop.pay(order, webhooks=3, **wrong)
    assert await until(lambda: whole.refunds(order.order_id), 20, "the money goes back") == [
        wrong.get("amount", 1_000_000)
    ]
    await whole.mailed(email, 1)
    await at_rest(whole)
    after = await all_rows(whole)
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    # The order only shows, beside what it was, that something went back.
    (row,) = await whole.rows("orders", "SELECT * FROM orders WHERE order_id = $1", order.order_id)
    assert (row["status"], row["paid_at"], row["charge_id"], row["total_kobo"]) == ("pending", None, None, 1_000_000)
    await whole.shop.pay(order)
    view = await whole.shop.until(order.order_id, order.token, {"paid"}, 15, tickets=True)
    assert len(view["tickets"]) == 2
    await whole.sums_hold()


@pytest.mark.parametrize(("reference", "cases"), [("bx-NOBODY-0123456789abcdef", 1), ("other-shop-17", 0)])
async def test_money_under_an_unknown_reference_is_kept_and_not_refunded(
    whole: System, reference: str, cases: int
) -> None:
    before, open_before = await all_rows(whole), await whole.open_cases()
    answer = await whole.shop.settle(reference, create=True, amount=5_000)
    assert answer.status == 200, dict(answer.body)
    count = "SELECT count(*) FROM charges WHERE reference = $1"
    await until(lambda: whole.value("payments", count, reference), 20, "the charge is kept")
    await at_rest(whole)
    after = await all_rows(whole)
    assert {name for name in after if after[name] != before[name]} == {"payments.charges"}
    assert await whole.open_cases() == open_before + cases
    assert reference not in {one["reference"] for one in (await whole.shop.ledger())["refunds"]}
    await a_good_order_goes_through(whole, await whole.tier(10))
