"""A poison event stands alone in the end: 499 good orders never share its dead letter."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aio_pika.abc import AbstractIncomingMessage

from deploy.local.engines import Engines
from services.orders.service import build
from shared.contracts.base import Message
from shared.contracts.gateway import CheckoutRequestedV1
from shared.contracts.registry import ServiceName
from shared.messaging.cloudevents import CONTENT_TYPE, Event, decode_batch, encode_batches
from shared.messaging.exceptions import RejectedForGood
from shared.messaging.transaction import Transaction
from shared.messaging.verdicts import MAX_LONE_TRIES, MAX_TRIES, SUSPECT_REDELIVERIES
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, Wire, delivery_of, event_of, running
from tests.integration.messaging_support import checkouts, dead, order_ids, orders_are, orders_service, quick_retries
from tests.samples import checkout, created
from tests.services import environment_of, settings_of
from tests.spies import POISON, has_poison, spy_on
from tests.waiting import until

__all__ = ["quick_retries"]

ROOT = Path(__file__).parents[2]
TYPE = CheckoutRequestedV1.TYPE


async def fail(_: Transaction, events: Sequence[Event[Any]]) -> None:
    if has_poison(events):
        raise ZeroDivisionError("this order cannot be divided")


def reason(letter: AbstractIncomingMessage) -> str:
    return str(letter.headers["x-reason"])


async def test_one_malformed_event_among_500_is_one_dead_letter(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    good = checkouts(499)
    ((body, _),) = encode_batches([event_of(one) for one in good])
    envelopes = orjson.loads(body)
    broken = {**envelopes[0], "id": str(new_id()), "data": {"order_id": "none"}}
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        whole = orjson.dumps([*envelopes[:250], broken, *envelopes[250:]])
        await wire.publish_raw(whole, exchange=wire.topology.commands, routing_key=TYPE)
        await orders_are(service, 499)
        assert await order_ids(service) == {one.order_id for one in good}
        (letter,) = await dead(wire, 1)
        assert reason(letter).startswith("Unreadable: event 0, order_id: ")
        assert orjson.loads(letter.body) == [broken]
        assert letter.type == TYPE


@pytest.mark.usefixtures("quick_retries")
async def test_one_event_among_500_whose_handler_fails_is_one_dead_letter(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    seen: Counter[bool] = Counter()

    async def spy(tx: Transaction, events: Sequence[Event[Any]]) -> None:
        seen[has_poison(events)] += 1
        await fail(tx, events)

    service = spy_on(orders_service(make_database("orders"), engines.amqp_url, namespace), spy)
    good = checkouts(499)
    poison = checkout(email=POISON)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        heard = await wire.overhear(CheckoutRequestedV1)
        await wire.publish(*good[:250], poison, *good[250:])
        await orders_are(service, 499)
        (letter,) = await dead(wire, 1)
        assert await order_ids(service) == {one.order_id for one in good}
        assert reason(letter) == "failed 5 times; the last: ZeroDivisionError: this order cannot be divided"
        assert letter.headers["x-tries"] == MAX_TRIES
        assert letter.headers["x-origin-queue"] == wire.topology.queue("orders")
        (event,) = decode_batch(letter.body, CONTENT_TYPE, TYPE)
        assert event.data == poison
        assert heard.qsize() == 500, "its parts went to our own queue, not to everybody again"
    assert seen[False] < 300, "events that merely failed are merged again, so that most of them share a transaction"


@pytest.mark.usefixtures("quick_retries")
async def test_a_message_comes_back_from_its_retry_queue_under_its_own_id(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    failures = 0

    async def spy(_: Transaction, __: Sequence[Event[Any]]) -> None:
        nonlocal failures
        failures += 1
        if failures < MAX_TRIES:
            raise ZeroDivisionError

    service = spy_on(orders_service(make_database("orders"), engines.amqp_url, namespace), spy)
    message_id = new_id()
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        await wire.publish(checkout(), message_id=message_id)
        await until(lambda: failures >= 1, PATIENCE_SECONDS, "the first failure")
        assert await order_ids(service) == set()
        await orders_are(service, 1)
        async with service.database.acquire() as connection:
            assert await connection.fetchval("SELECT array_agg(message_id) FROM inbox") == [message_id]
        assert failures == MAX_TRIES
        assert await wire.depth(wire.topology.dead_queue("orders")) == 0
        assert b'boxoffice_messages_retried_total{type="checkout.requested.v1"} 4.0' in service.metrics.render()


async def test_a_refusal_for_good_spends_no_tries(
    engines: Engines, make_database: MakeDatabase, namespace: str
) -> None:
    async def spy(_: Transaction, events: Sequence[Event[Any]]) -> None:
        if has_poison(events):
            raise RejectedForGood("not in this life")

    service = spy_on(orders_service(make_database("orders"), engines.amqp_url, namespace), spy)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        await wire.publish(checkout(email=POISON))
        await wire.publish(checkout())
        (letter,) = await dead(wire, 1)
        assert (reason(letter), letter.headers["x-tries"]) == ("RejectedForGood: not in this life", 1)
        await orders_are(service, 1)


async def test_a_suspect_that_fails_or_waits_is_not_taken_for_dead(make_database: MakeDatabase) -> None:
    """Only a try that did not come back is a death; what raised an error did come back."""
    errors: list[Exception] = [ConnectionResetError(), TimeoutError(), ConnectionResetError(), OSError()]

    async def spy(_: Transaction, __: Sequence[Event[Any]]) -> None:
        if errors:
            raise errors.pop()

    async with Bench(spy_on(build(settings_of("orders", make_database("orders"))), spy)) as bench:  # type: ignore[arg-type]
        await bench.deliver(checkout())
        errors.extend(ConnectionResetError() for _ in range(4))
        suspect = delivery_of(checkout(), headers={"x-suspect": True})
        assert [type(one).__name__ for one in await bench.outcomes(suspect)] == ["Done"]
        assert not errors
        assert await bench.value("SELECT count(*) FROM orders") == 2
        assert await bench.value("SELECT count(*) FROM suspect_tries") == 0


class Supervisor:
    """Starts a service again each time it dies, as any process manager does."""

    def __init__(self, name: ServiceName, environment: dict[str, str], most_deaths: int) -> None:
        self._name = name
        self._environment = {**os.environ, **environment}
        self._most_deaths = most_deaths
        self._process: asyncio.subprocess.Process | None = None
        self.exit_codes: list[int] = []

    async def run(self) -> None:
        """Return when it exits by itself; raises when it died too often."""
        while not self.exit_codes or self.exit_codes[-1] == -signal.SIGKILL:
            assert len(self.exit_codes) <= self._most_deaths, f"died {len(self.exit_codes)} times"
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.deadly_service", self._name,
                env=self._environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            self.exit_codes.append(await self._process.wait())

    def terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


KILLERS: dict[ServiceName, tuple[Callable[..., Message], str]] = {
    "orders": (checkout, "SELECT count(*) FROM orders"),
    "inventory": (created, "SELECT count(*) FROM holds"),
}


@pytest.mark.parametrize("name", KILLERS)
async def test_one_event_among_500_that_kills_the_process_is_one_dead_letter(
    engines: Engines, make_database: MakeDatabase, namespace: str, name: ServiceName
) -> None:
    sample, count = KILLERS[name]
    database_url = make_database(name)
    supervisor = Supervisor(
        name,
        environment_of(name, database_url, engines.amqp_url, namespace),
        SUSPECT_REDELIVERIES + MAX_LONE_TRIES,
    )
    poison = sample(email=POISON)
    onlooker = orders_service(database_url, engines.amqp_url, namespace)
    async with Wire(engines.amqp_url, namespace) as wire, Bench(onlooker) as bench:
        await wire.publish(*(sample() for _ in range(250)), poison, *(sample() for _ in range(249)))
        for _ in range(5):
            await wire.publish(sample())
        queue = wire.topology.dead_queue(name)
        task = asyncio.create_task(supervisor.run())

        async def all_went_through() -> bool:
            assert not task.done(), task.exception()
            return await bench.value(count) == 504 and await wire.depth(queue) == 1

        try:
            await until(all_went_through, 60, "504 orders and a dead letter")
            (letter,) = await wire.dead_letters(queue)
            assert reason(letter) == "its handling ended the process 2 times"
            (event,) = decode_batch(letter.body, CONTENT_TYPE, type(poison).TYPE)
            assert event.data == poison
            supervisor.terminate()
            await asyncio.wait_for(task, PATIENCE_SECONDS)
        finally:
            supervisor.kill()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert supervisor.exit_codes == [-signal.SIGKILL] * (SUSPECT_REDELIVERIES + MAX_LONE_TRIES) + [0]
        assert await bench.value("SELECT count(*) FROM suspect_tries") == 0
