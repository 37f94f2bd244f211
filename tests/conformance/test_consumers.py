"""One suite that every consumer passes, for every type it takes in: duplicates, crashes, rollbacks, unknown orders.

The messages are the samples that were ever shipped, so a new type or service is tested from its first day.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.contracts.base import Message, OrderMessage
from shared.contracts.registry import CONSUMERS, ServiceName
from shared.contracts.schemas import SAMPLES
from shared.messaging.cloudevents import CONTENT_TYPE, Event, decode_batch
from shared.messaging.delivery import Delivery
from shared.messaging.handling import Done
from shared.messaging.transaction import Transaction
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import Bench, delivery_of
from tests.samples import charge_of
from tests.services import SERVICES_WITH_DATABASE, build_of, settings_of
from tests.spies import spy_on

CASES = [
    pytest.param(service, model, id=f"{service}-{model.TYPE}")
    for service in SERVICES_WITH_DATABASE
    for model in CONSUMERS[service]
]

#: Tables of the shell itself, and columns that hold a time or a chance value.
SHELL = {"inbox", "outbox", "suspect_tries"}


def sample(model: type[Message], order_id: UUID | None = None) -> Message:
    """The first shipped sample of a type, about another order if one is given."""
    (path, *_) = sorted((SAMPLES / model.TYPE).glob("*.json"))
    (event, *_) = decode_batch(path.read_bytes(), CONTENT_TYPE, model.TYPE)
    if order_id is None or not isinstance(event.data, OrderMessage):
        return event.data
    # A charge and a reference belong to one order; the reference that is Paystack's has a hyphen.
    fields: dict[str, Any] = {"order_id": order_id}
    if hasattr(event.data, "charge_id"):
        fields["charge_id"] = charge_of(order_id)
    if re.fullmatch(r"[0-9A-Z]{6}", getattr(event.data, "reference", None) or ""):
        fields["reference"] = reference_of(order_id)
    return event.data.model_copy(update=fields)


def reference_of(order_id: UUID) -> str:
    """A reference for this order and, as good as certainly, no other."""
    letters = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
    return "".join(letters[order_id.int // len(letters) ** place % len(letters)] for place in range(6))


def story(service: ServiceName, model: type[Message], order_id: UUID) -> list[Message]:
    """What a service hears of one order until the message in question comes: all types it takes in before it."""
    types = CONSUMERS[service]
    return [sample(one, order_id) for one in types[: types.index(model)]]


async def effects(bench: Bench) -> dict[str, list[str]]:
    """Every row of every table but the shell's."""
    tables = await bench.fetch(
        "SELECT c.relname AS name FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
        "AND c.relname NOT LIKE '%yoyo%'"
    )
    dump = {}
    for table in sorted(row["name"] for row in tables):
        if table not in SHELL:
            rows = await bench.fetch(f'SELECT to_jsonb(t) AS row FROM "{table}" t')
            dump[table] = sorted(orjson.dumps(row["row"], option=orjson.OPT_SORT_KEYS).decode() for row in rows)
    assert dump, "the service has no tables"
    return dump


async def given_out(bench: Bench) -> int:
    """Events in the outbox."""
    count: int = await bench.value("SELECT coalesce(sum(event_count), 0) FROM outbox")
    return count


@asynccontextmanager
async def opened(make_database: MakeDatabase, service: ServiceName) -> AsyncIterator[Bench]:
    async with Bench(build_of(service, settings_of(service, make_database(service)))) as bench:
        yield bench


@pytest.mark.parametrize(("service", "model"), CASES)
async def test_a_duplicate_delivery_has_no_second_effect(
    make_database: MakeDatabase, service: ServiceName, model: type[Message]
) -> None:
    order_id = new_id()
    async with opened(make_database, service) as bench:
        await bench.deliver(*story(service, model, order_id))
        delivery = delivery_of(sample(model, order_id))
        assert await bench.outcomes(delivery) == [Done()]
        before = await effects(bench), await given_out(bench)
        # Alone, beside itself, and as a suspect after a crash between commit and acknowledgement.
        for again in ([delivery], [delivery, delivery], [_redelivered(delivery)]):
            assert await bench.outcomes(*again) == [Done()] * len(again)
            assert (await effects(bench), await given_out(bench)) == before
        assert await bench.value("SELECT count(*) FROM inbox WHERE message_id = $1", delivery.message_id) == 1


@pytest.mark.parametrize(("service", "model"), CASES)
async def test_a_message_about_an_unknown_order_is_handled(
    make_database: MakeDatabase, service: ServiceName, model: type[Message]
) -> None:
    """It leaves a fact or nothing, and never an error."""
    async with opened(make_database, service) as bench:
        await bench.deliver(sample(model, new_id()))
        await bench.deliver_batch(*(sample(model, new_id()) for _ in range(20)))
        assert b"boxoffice_messages_split_total 0.0" in bench.service.metrics.render()


@pytest.mark.parametrize(("service", "model"), CASES)
async def test_a_transaction_that_fails_leaves_nothing(
    make_database: MakeDatabase, service: ServiceName, model: type[Message]
) -> None:
    """The handler has done all its work when the transaction fails; then the same message is handled after all."""
    order_id = new_id()
    woken: list[str] = []
    async with opened(make_database, service) as bench:
        await bench.deliver(*story(service, model, order_id))
        before = await effects(bench), await given_out(bench)
        handling = bench.service.handling
        assert handling is not None
        delivery = delivery_of(sample(model, order_id))

        async def handle_and_fail() -> None:
            async with bench.service.transactions.begin() as tx:
                await tx.claim_inbox([delivery.message_id])
                await handling._run_handlers(tx, [delivery])
                tx.after_commit(lambda: woken.append("woken"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await handle_and_fail()
        assert (await effects(bench), await given_out(bench)) == before
        assert not woken, "nothing is woken for what was rolled back"
        assert await bench.value("SELECT count(*) FROM inbox WHERE message_id = $1", delivery.message_id) == 0
        assert await bench.outcomes(delivery) == [Done()]


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
async def test_all_types_of_one_order_in_one_transaction(make_database: MakeDatabase, service: ServiceName) -> None:
    """Merged, in whatever order they came, and all of them twice."""
    types = CONSUMERS[service]
    first, second = new_id(), new_id()
    async with opened(make_database, service) as bench:
        forth = [delivery_of(sample(model, first)) for model in types]
        back = [delivery_of(sample(model, second)) for model in reversed(types)]
        assert await bench.outcomes(*forth, *back, *forth, *back) == [Done()] * (4 * len(types))
        assert await bench.value("SELECT count(*) FROM inbox") == 2 * len(types)
        assert await bench.value("SELECT count(DISTINCT received_at) FROM inbox") == 1


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
async def test_a_handler_that_fails_once_is_retried_alone_and_its_neighbours_are_not(
    make_database: MakeDatabase, service: ServiceName
) -> None:
    model = CONSUMERS[service][0]
    bad = new_id()

    async def spy(_: Transaction, events: Sequence[Event[Any]]) -> None:
        if any(event.data.order_id == bad for event in events):
            raise ZeroDivisionError

    async with Bench(spy_on(build_of(service, settings_of(service, make_database(service))), spy)) as bench:
        good = [delivery_of(sample(model, new_id())) for _ in range(3)]
        outcomes = await bench.outcomes(*good, delivery_of(sample(model, bad)))
        assert [type(one).__name__ for one in outcomes] == ["Done", "Done", "Done", "Retry"]


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_every_type_of_the_registry_has_a_handler(service: ServiceName) -> None:
    handling = build_of(service, settings_of(service, "postgresql://nobody@127.0.0.1:1/none")).handling
    assert handling is not None
    assert set(handling._handlers.by_type) == set(CONSUMERS[service])
    assert tuple(handling._handlers.by_type) == CONSUMERS[service], "in the registry's order"


def _redelivered(delivery: Delivery) -> Delivery:
    return Delivery(delivery.message_id, delivery.type, delivery.content_type, delivery.body, {"x-delivery-count": 3})
