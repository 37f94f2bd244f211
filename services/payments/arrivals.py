"""Wakes requests in this process that wait for news of an order. A poll beside it hears of other replicas' news."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID


class Arrivals:
    """Who waits for which order."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = {}

    def notify(self, order_ids: Iterable[UUID]) -> None:
        """There is news of these orders, committed."""
        for order_id in order_ids:
            for event in self._waiting.get(order_id, ()):
                event.set()

    @asynccontextmanager
    async def listening(self, order_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set by news of this order; listen first and read the database second."""
        event = asyncio.Event()
        self._waiting.setdefault(order_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[order_id].discard(event)
            if not self._waiting[order_id]:
                del self._waiting[order_id]
