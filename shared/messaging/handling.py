"""From messages to committed effects: claim the inbox, run the handlers, write the outbox, in one transaction."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from random import random
from typing import Any

import structlog

from shared.contracts.base import Message
from shared.contracts.registry import ServiceName
from shared.messaging import store
from shared.messaging.cloudevents import Event, split_batch
from shared.messaging.delivery import Delivery
from shared.messaging.exceptions import RejectedForGood
from shared.messaging.publisher import OutgoingMessage
from shared.messaging.topology import Topology
from shared.messaging.transaction import Transaction, Transactions
from shared.messaging.verdicts import DeadLetter, Retry, Split, Wait, decide_suspect, decide_verdict
from shared.postgres.database import Database
from shared.runtime.ids import derived_id
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: Handles all events of one type that one transaction holds.
Handler = Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]]
#: Locks, before any handler runs and in one fixed order, the rows that events of any type are about.
LockRows = Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]]

#: Seconds one transaction may take in all. Far below the broker's own limit of 30 minutes for an answer.
HANDLING_TIMEOUT_SECONDS = 30.0
#: Pause while an engine is away or transactions meet, doubled from the first to the second.
WAIT_SECONDS = (0.05, 5.0)


@dataclass(frozen=True)
class Handlers:
    """What a service does with each type it takes in, in the order in which one transaction does it."""

    service: ServiceName
    by_type: Mapping[type[Message], Handler]
    lock_rows: LockRows | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The effects are committed, now or by an earlier delivery."""


#: How a message ended here. Retry and DeadLetter are still to be published before the acknowledgement.
Outcome = Done | Retry | DeadLetter


class Handling:
    """Turns deliveries into outcomes. Knows nothing of AMQP, so that every path of it is tested without a broker."""

    def __init__(
        self, database: Database, transactions: Transactions, handlers: Handlers, topology: Topology, metrics: Metrics
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._handlers = handlers
        self._topology = topology
        self._metrics = metrics
        self._known = {model.TYPE for model in handlers.by_type}

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """One outcome for each delivery. Waits for engines that are away, for ever; cancel it to give up."""
        plain = [one for one in deliveries if one.unreadable is None and not one.is_suspect and one.type in self._known]
        together = len(plain) > 1 and await self._try_together(plain)
        merged = {id(one) for one in plain} if together else set()
        return [Done() if id(one) in merged else await self._handle_alone(one) for one in deliveries]

    async def _try_together(self, deliveries: Sequence[Delivery]) -> bool:
        try:
            await self._commit(deliveries)
        except Exception as error:  # noqa: BLE001 - each message is tried alone next, where its error is judged
            _log.info("a merged batch is tried message by message", messages=len(deliveries), error=repr(error)[:300])
            return False
        return True

    async def _handle_alone(self, delivery: Delivery) -> Outcome:
        pause = WAIT_SECONDS[0]
        for waits in count():
            try:
                return await self._attempt(delivery)
            except Exception as error:  # noqa: BLE001 - decide_verdict judges every error there is
                verdict = decide_verdict(error, tries=delivery.tries, event_count=delivery.event_count, waits=waits)
                if isinstance(verdict, Wait):
                    _log.warning("a message waits", type=delivery.type, error=repr(error)[:300], again_in_seconds=pause)
                    await asyncio.sleep(pause * (0.5 + random()))  # noqa: S311 - spreads load, guards nothing
                    pause = min(pause * 2, WAIT_SECONDS[1])
                    continue
                if isinstance(verdict, Split):
                    await self._split(delivery, reason=repr(error)[:300])
                    return Done()
                _log.error(
                    "an event failed",
                    type=delivery.type,
                    message_id=str(delivery.message_id),
                    tries=delivery.tries,
                    verdict=repr(verdict),
                    exc_info=delivery.unreadable is None,
                )
                return verdict
        raise AssertionError("unreachable")

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.unreadable is not None:
            raise delivery.unreadable
        if delivery.type not in self._known:
            raise RejectedForGood(f"the {self._handlers.service} service takes in no {delivery.type}")
        if delivery.is_suspect:
            return await self._handle_suspect(delivery)
        await self._commit([delivery])
        return Done()

    async def _handle_suspect(self, delivery: Delivery) -> Outcome:
        """Redelivered too often: its handler may have killed the process. A batch is split unseen; one event is tried
        alone, with a count that outlives the process."""
        if delivery.event_count > 1:
            await self._split(delivery, reason=f"redelivered {delivery.redeliveries} times")
            return Done()
        async with self._database.acquire() as connection:
            tries = await store.insert_suspect_try(connection, message_id=delivery.message_id)
        refusal = decide_suspect(lone_tries=tries - 1)
        if refusal is None:
            await self._commit([delivery])
        async with self._database.acquire() as connection:
            await store.delete_suspect_try(connection, message_id=delivery.message_id)
        return refusal or Done()

    async def _commit(self, deliveries: Sequence[Delivery]) -> None:
        started = time.perf_counter()
        async with asyncio.timeout(HANDLING_TIMEOUT_SECONDS), self._transactions.begin() as transaction:
            claimed = await transaction.claim_inbox([one.message_id for one in deliveries])
            fresh = list({one.message_id: one for one in deliveries if one.message_id in claimed}.values())
            await self._run_handlers(transaction, fresh)
        self._metrics.duplicates(len(deliveries) - len(fresh))
        if fresh:
            counts: Counter[str] = Counter()
            for one in fresh:
                counts[one.type] += one.event_count
            self._metrics.handled(counts, time.perf_counter() - started)

    async def _run_handlers(self, transaction: Transaction, deliveries: Sequence[Delivery]) -> None:
        by_type: dict[str, list[Event[Message]]] = {}
        for one in deliveries:
            by_type.setdefault(one.type, []).extend(one.events)
        if by_type and self._handlers.lock_rows is not None:
            await self._handlers.lock_rows(transaction, list(chain.from_iterable(by_type.values())))
        for model, handler in self._handlers.by_type.items():
            if model.TYPE in by_type:
                await handler(transaction, by_type[model.TYPE])

    async def _split(self, delivery: Delivery, *, reason: str) -> None:
        """Send each event back to our own queue as a message of its own, in the transaction that claims the batch.

        The ids are derived from the batch's, so that doing this twice gives the same messages.
        """
        queue = self._topology.queue(self._handlers.service)
        async with self._transactions.begin() as transaction:
            if not await transaction.claim_inbox([delivery.message_id]):
                return
            for body, position in split_batch(delivery.body):
                message = OutgoingMessage(
                    message_id=derived_id(delivery.message_id, position),
                    type=delivery.type,
                    exchange="",
                    routing_key=queue,
                    body=body,
                )
                transaction.send(message, event_count=1, suspect=True)
        self._metrics.split()
        _log.warning("a batch was split", type=delivery.type, events=delivery.event_count, reason=reason)
