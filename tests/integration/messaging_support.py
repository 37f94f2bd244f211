"""The orders service on a broker, for tests of the messaging under it: its effects are plain to count."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from aio_pika.abc import AbstractIncomingMessage

from services.orders.service import build
from shared.contracts.gateway import CheckoutRequestedV1
from shared.messaging import topology, verdicts
from shared.postgres.errors import PASSING
from shared.runtime.service import Service
from tests.harness import PATIENCE_SECONDS, Wire
from tests.samples import checkout
from tests.services import settings_of
from tests.waiting import until

#: Every fallback poll, for tests that show that nothing waits for one.
NEVER = 3600


def orders_service(database_url: str, amqp_url: str, namespace: str, **changes: Any) -> Service:
    """The real service, with no fallback poll and no repeated question to help it."""
    quiet = {"poll_seconds": NEVER, "ask_again_seconds": NEVER, "reassert_seconds": NEVER, "drain_seconds": 6}
    return build(settings_of("orders", database_url, amqp_url, namespace, **quiet | changes))  # type: ignore[arg-type]


def checkouts(count: int) -> list[CheckoutRequestedV1]:
    """Requests for so many orders."""
    return [checkout() for _ in range(count)]


async def value(service: Service, statement: str, *arguments: object) -> Any:
    """One value of the service's database."""
    async with service.database.acquire() as connection:
        return await connection.fetchval(statement, *arguments)


async def orders_are(service: Service, count: int, timeout_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until exactly so many orders exist."""

    async def counted() -> bool:
        try:
            found: int = await value(service, "SELECT count(*) FROM orders")
        except PASSING:
            return False  # the engine is away, or this connection was ended with the others
        assert found <= count, f"{found} orders where {count} were asked for"
        return found == count

    await until(counted, timeout_seconds, f"{count} orders")


async def order_ids(service: Service) -> set[UUID]:
    """The orders there are."""
    async with service.database.acquire() as connection:
        return {row["order_id"] for row in await connection.fetch("SELECT order_id FROM orders")}


async def dead(wire: Wire, count: int, timeout_seconds: float = PATIENCE_SECONDS) -> Sequence[AbstractIncomingMessage]:
    """Wait for so many dead letters of the orders service, and take them."""
    queue = wire.topology.dead_queue("orders")
    await until(_at_least(lambda: wire.depth(queue), count), timeout_seconds, f"{count} dead letters")
    taken = await wire.dead_letters(queue)
    assert len(taken) == count
    return taken


def _at_least(number: Callable[[], Awaitable[int]], least: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return await number() >= least

    return enough


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """One retry tier of a second instead of up to a minute."""
    for module in (topology, verdicts):
        monkeypatch.setattr(module, "RETRY_TIERS_SECONDS", (1,))
