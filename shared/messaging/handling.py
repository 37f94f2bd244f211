"""From messages to committed effects: claim the inbox, run the handlers, write the outbox, in one transaction."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from random import random
from typing import Any
from uuid import UUID

import structlog

from shared.contracts.base import Message
from shared.contracts.registry import ServiceName
from shared.messaging import store
from shared.messaging.cloudevents import Event, split_batch
from shared.messaging.delivery import Delivery
from shared.messaging.exceptions import TookTooLong, UnknownType
from shared.messaging.publisher import OutgoingMessage
from shared.messaging.topology import Topology
from shared.messaging.transaction import Transaction, Transactions
from shared.messaging.verdicts import (
    DeadLetter,
    Postpone,
    Retry,
    Split,
    Verdict,
    Wait,
    decide_merged,
    decide_suspect,
    decide_verdict,
)
from shared.postgres.database import Database
from shared.postgres.errors import PASSING
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


#: How a message ended here. All but Done are still to be published before the acknowledgement.
Outcome = Done | Retry | Postpone | DeadLetter


class _Patience:
    """The waits of one piece of work: each pause longer than the last, and how many of them are of a bounded kind."""

    def __init__(self) -> None:
        self.counted = 0
        self._pause = WAIT_SECONDS[0]

    async def wait(self, verdict: Wait, error: Exception, **what: object) -> None:
        self.counted += verdict.counted
        _log.warning("messages wait", **what, error=repr(error)[:300], again_in_seconds=self._pause)
        await asyncio.sleep(self._pause * (0.5 + random()))  # noqa: S311 - spreads load, guards nothing
        self._pause = min(self._pause * 2, WAIT_SECONDS[1])


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
        #: Suspects whose lone try was counted and came back, where the count could not be taken back yet.
        self._survived: set[UUID] = set()

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """One outcome for each delivery. Waits for engines that are away, for minutes; cancel it to give up."""
        plain = [one for one in deliveries if one.unreadable is None and not one.is_suspect and one.type in self._known]
        together = len(plain) > 1 and await self._try_together(plain)
        merged = {id(one) for one in plain} if together else set()
        return [Done() if id(one) in merged else await self._handle_alone(one) for one in deliveries]

    async def _try_together(self, deliveries: Sequence[Delivery]) -> bool:
        patience = _Patience()
        while True:
            try:
                await self._commit(deliveries)
            except Exception as error:  # noqa: BLE001 - judged here, or where each message is tried alone
                in_hand = max(one.in_hand_seconds for one in deliveries)
                verdict = decide_merged(error, waits=patience.counted, in_hand_seconds=in_hand)
                if isinstance(verdict, Split):
                    _log.info("merged messages are tried one by one", messages=len(deliveries), error=repr(error)[:300])
                    return False
                await patience.wait(verdict, error, messages=len(deliveries))
            else:
                return True

    async def _handle_alone(self, delivery: Delivery) -> Outcome:
        patience = _Patience()
        split_because: str | None = None
        while True:
            try:
                if split_because is not None:
                    return await self._split(delivery, reason=split_because)
                return await self._attempt(delivery)
            except Exception as error:  # noqa: BLE001 - decide_verdict judges every error there is
                verdict = decide_verdict(
                    error,
                    tries=delivery.tries,
                    # A batch that cannot even be taken apart is judged like one event.
                    event_count=1 if split_because is not None else delivery.event_count,
                    waits=patience.counted,
                    in_hand_seconds=delivery.in_hand_seconds,
                )
                if isinstance(verdict, Wait):
                    await patience.wait(verdict, error, type=delivery.type, message_id=str(delivery.message_id))
                elif isinstance(verdict, Split):
                    split_because = repr(error)[:300]
                else:
                    _log_failure(delivery, verdict, error)
                    return verdict

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.unreadable is not None:
            raise delivery.unreadable
        if delivery.type not in self._known:
            raise UnknownType(f"the {self._handlers.service} service takes in no {delivery.type}")
        if delivery.is_suspect:
            return await self._handle_suspect(delivery)
        await self._commit([delivery])
        return Done()

    async def _handle_suspect(self, delivery: Delivery) -> Outcome:
        """Redelivered too often: its handler may have killed the process. A batch is split unseen; one event is tried
        alone, with a count that outlives the process."""
        if delivery.event_count > 1:
            return await self._split(delivery, reason=f"redelivered {delivery.redeliveries} times")
        message_id = delivery.message_id
        if message_id in self._survived:
            await self._forget_lone_tries(message_id)
        async with self._database.acquire() as connection:
            tries = await store.insert_suspect_try(connection, message_id=message_id)
        refusal = decide_suspect(lone_tries=tries - 1)
        try:
            if refusal is None:
                await self._commit([delivery])
        except Exception:
            # It came back, so this was no death. If the count cannot be taken back now, that is done first next time.
            self._survived.add(message_id)
            with suppress(*PASSING):
                await self._forget_lone_tries(message_id)
            raise
        await self._forget_lone_tries(message_id)
        return refusal or Done()

    async def _forget_lone_tries(self, message_id: UUID) -> None:
        async with self._database.acquire() as connection:
            await store.delete_suspect_try(connection, message_id=message_id)
        self._survived.discard(message_id)

    async def _commit(self, deliveries: Sequence[Delivery]) -> None:
        started = time.perf_counter()
        fresh = await self._in_time(deliveries)
        self._metrics.duplicates(len(deliveries) - len(fresh))
        if fresh:
            counts: Counter[str] = Counter()
            for one in fresh:
                counts[one.type] += one.event_count
            self._metrics.handled(counts, time.perf_counter() - started)

    async def _in_time(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """One transaction; returns those of the messages that had no effect before it."""
        try:
            async with asyncio.timeout(HANDLING_TIMEOUT_SECONDS) as limit, self._transactions.begin() as transaction:
                claimed = await transaction.claim_inbox([one.message_id for one in deliveries])
                fresh = list({one.message_id: one for one in deliveries if one.message_id in claimed}.values())
                await self._run_handlers(transaction, fresh)
        except TimeoutError as error:
            if limit.expired():
                raise TookTooLong(f"not done within {HANDLING_TIMEOUT_SECONDS:g} seconds") from error
            raise
        return fresh

    async def _run_handlers(self, transaction: Transaction, deliveries: Sequence[Delivery]) -> None:
        by_type: dict[str, list[Event[Message]]] = {}
        for one in deliveries:
            by_type.setdefault(one.type, []).extend(one.events)
        if by_type and self._handlers.lock_rows is not None:
            await self._handlers.lock_rows(transaction, list(chain.from_iterable(by_type.values())))
        for model, handler in self._handlers.by_type.items():
            if model.TYPE in by_type:
                await handler(transaction, by_type[model.TYPE])

    async def _split(self, delivery: Delivery, *, reason: str) -> Outcome:
        """Send each event back to our own queue as a message of its own, in the transaction that claims the batch.

        The ids are derived from the batch's, so that doing this twice gives the same messages. Only where the process
        was lost must each be handled alone; events that merely failed are merged again, and soon sorted out.
        """
        queue = self._topology.queue(self._handlers.service)
        async with self._transactions.begin() as transaction:
            if not await transaction.claim_inbox([delivery.message_id]):
                return Done()
            for body, position in split_batch(delivery.body):
                message = OutgoingMessage(
                    message_id=derived_id(delivery.message_id, position),
                    type=delivery.type,
                    exchange="",
                    routing_key=queue,
                    body=body,
                )
                transaction.send(message, event_count=1, suspect=delivery.is_suspect)
        self._metrics.split()
        _log.warning("a batch was split", type=delivery.type, events=delivery.event_count, reason=reason)
        return Done()


def _log_failure(delivery: Delivery, verdict: Verdict, error: Exception) -> None:
    _log.error(
        "an event failed",
        type=delivery.type,
        message_id=str(delivery.message_id),
        tries=delivery.tries,
        verdict=repr(verdict),
        # The place in our code helps where a handler failed; a body that cannot be read has none.
        exc_info=error if delivery.unreadable is None else None,
    )
