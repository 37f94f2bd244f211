"""Who waits for news of which order. News of an order that nobody here waits for is not even read."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self
from uuid import UUID

from shared.contracts.orders import OrderChangedV1

#: Changes a slow reader may fall behind; older ones are dropped, since each shows the whole order.
MAX_UNREAD = 50


class Listener:
    """One reader of one order's changes. Use it as a context manager, or close it."""

    def __init__(self, watches: "Watches", order_id: UUID, view: OrderChangedV1 | None) -> None:
        self.order_id = order_id
        #: The newest view, if any came.
        self.view = view
        self._watches = watches
        self._unread: deque[OrderChangedV1] = deque(maxlen=MAX_UNREAD)
        self._woken = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._watches.remove(self)

    def put(self, view: OrderChangedV1) -> None:
        """There is a newer view."""
        self.view = view
        self._unread.append(view)
        self._woken.set()

    def wake(self, *_: object) -> None:
        """Let whoever waits look again."""
        self._woken.set()

    def take(self) -> list[OrderChangedV1]:
        """The changes since the last time, oldest first."""
        changes = list(self._unread)
        self._unread.clear()
        return changes

    async def woken(self) -> None:
        """Return at the next change or wake; at once if one came since the last return. Give it a time-out."""
        await self._woken.wait()
        self._woken.clear()

    async def until(self, done: Callable[[OrderChangedV1], bool]) -> OrderChangedV1 | None:
        """The first view that is ``done``; the newest one, or none, when the gateway closes. Give it a time-out."""
        while not self._watches.closing and (self.view is None or not done(self.view)):
            await self.woken()
        return self.view


class _Watch:
    __slots__ = ("listeners", "view")

    def __init__(self) -> None:
        self.view: OrderChangedV1 | None = None
        self.listeners: set[Listener] = set()


class Watches:
    """All listeners of this replica, by order."""

    def __init__(self) -> None:
        self._by_order: dict[UUID, _Watch] = {}
        #: Nobody waits any longer.
        self.closing = False

    def listen(self, order_id: UUID) -> Listener:
        """A new listener; it begins with the newest view that is known here."""
        watch = self._by_order.setdefault(order_id, _Watch())
        listener = Listener(self, order_id, watch.view)
        watch.listeners.add(listener)
        return listener

    def remove(self, listener: Listener) -> None:
        """Forget a listener, and the order with its last one."""
        watch = self._by_order.get(listener.order_id)
        if watch is not None:
            watch.listeners.discard(listener)
            if not watch.listeners:
                del self._by_order[listener.order_id]

    def is_watched(self, order_id: UUID) -> bool:
        """Whether anybody here wants to know."""
        return order_id in self._by_order

    def orders(self) -> list[UUID]:
        """All orders somebody here listens to."""
        return list(self._by_order)

    def tell(self, view: OrderChangedV1) -> None:
        """Give a view to everybody who listens to its order, unless they have one that is as new."""
        watch = self._by_order.get(view.order_id)
        if watch is None or (watch.view is not None and watch.view.version >= view.version):
            return
        watch.view = view
        for listener in watch.listeners:
            listener.put(view)

    def close(self) -> None:
        """End all waiting: whoever waits answers with what is known."""
        self.closing = True
        for watch in self._by_order.values():
            for listener in watch.listeners:
                listener.wake()
