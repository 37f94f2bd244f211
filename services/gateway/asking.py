"""Whoever waits for an answer asks again: commands are repeated until orders has answered, for a bounded time."""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.gateway.commands import Commands
from services.gateway.watching import Listener, Watches
from shared.contracts.base import OrderMessage
from shared.contracts.orders import OrderChangedV1
from shared.messaging.exceptions import MessagingError
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: Commands repeated in one run.
MAX_AT_ONCE = 500

#: Whether a view of its order answers a command.
Answers = Callable[[OrderChangedV1], bool]


@dataclass(slots=True)
class _Question:
    data: OrderMessage
    traceparent: str | None
    listener: Listener
    pause_seconds: float
    until: float


class Asking:
    """Remembers what was asked and not answered. Forgets the oldest where there are too many."""

    def __init__(
        self,
        watches: Watches,
        commands: Mapping[type[OrderMessage], tuple[Commands, Answers]],
        metrics: Metrics,
        *,
        first_seconds: float,
        most_seconds: float,
        for_seconds: float,
        limit: int,
        clock: Clock | None = None,
    ) -> None:
        self._watches = watches
        self._commands = commands
        self._metrics = metrics
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._for_seconds = for_seconds
        self._limit = limit
        self._questions: dict[tuple[UUID, str], _Question] = {}
        #: When each is due; entries of questions that are gone are skipped.
        self._due: list[tuple[float, UUID, str]] = []
        self.loop = Loop("ask again", self.run_once, interval_seconds=60.0, clock=clock)

    def __len__(self) -> int:
        return len(self._questions)

    def remember(self, data: OrderMessage, traceparent: str | None) -> None:
        """Repeat this command until it is answered. It was published once already."""
        key = (data.order_id, data.TYPE)
        if key in self._questions:
            return
        while len(self._questions) >= self._limit:
            self._forget(next(iter(self._questions)))
        now = asyncio.get_running_loop().time()
        listener = self._watches.listen(data.order_id)
        self._questions[key] = _Question(data, traceparent, listener, self._first_seconds, now + self._for_seconds)
        self._schedule(key, now + self._first_seconds)

    def forget(self, data: OrderMessage) -> None:
        """It is answered."""
        self._forget((data.order_id, data.TYPE))

    async def run_once(self) -> float | None:
        """Repeat what is due; returns the seconds until the next is."""
        now = asyncio.get_running_loop().time()
        repeated = 0
        while self._due and self._due[0][0] <= now and repeated < MAX_AT_ONCE:
            _, order_id, message_type = heapq.heappop(self._due)
            repeated += self._repeat((order_id, message_type), now)
        if not self._due:
            return None
        return max(self._due[0][0] - now, 0.0)

    def _repeat(self, key: tuple[UUID, str], now: float) -> bool:
        question = self._questions.get(key)
        if question is None:
            return False
        commands, answers = self._commands[type(question.data)]
        if now >= question.until or (question.listener.view is not None and answers(question.listener.view)):
            self._forget(key)
            return False
        question.pause_seconds = min(question.pause_seconds * 2, self._most_seconds)
        self._schedule(key, now + question.pause_seconds)
        try:
            commands.send(question.data, question.traceparent)
        except MessagingError as error:
            _log.info("a command is repeated later", type=key[1], error=str(error))
            return False
        self._metrics.asked(key[1], 1)
        return True

    def _schedule(self, key: tuple[UUID, str], at: float) -> None:
        heapq.heappush(self._due, (at, *key))
        if self._due[0][1:] == key:
            self.loop.wake()

    def _forget(self, key: tuple[UUID, str]) -> None:
        question = self._questions.pop(key, None)
        if question is not None:
            question.listener.close()
