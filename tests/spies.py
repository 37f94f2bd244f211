"""A service whose handlers are watched, or made to fail on one marked event."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.contracts.base import Message
from shared.messaging.cloudevents import Event
from shared.messaging.handling import Handler, Handlers
from shared.messaging.transaction import Transaction
from shared.runtime.service import Service

#: E-mail address that marks an event as poison.
POISON = "poison@example.com"

Spy = Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]]


def spy_on(service: Service, spy: Spy) -> Service:
    """Let ``spy`` run before each handler of a service that has not started; what it raises, the handler raises."""
    assert service.handling is not None
    handlers = service.handling._handlers

    def watched(handler: Handler) -> Handler:
        async def handle(tx: Transaction, events: Sequence[Event[Any]]) -> None:
            await spy(tx, events)
            await handler(tx, events)

        return handle

    by_type: dict[type[Message], Handler] = {model: watched(handler) for model, handler in handlers.by_type.items()}
    service.consume(Handlers(handlers.service, by_type, handlers.lock_rows))
    return service


def has_poison(events: Sequence[Event[Any]]) -> bool:
    """Whether one of these events is marked."""
    return any(getattr(event.data, "email", None) == POISON for event in events)
