"""The relay: publishes what was committed, until the broker has confirmed it."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog

from shared.messaging import store
from shared.messaging.exceptions import NoAnswer, NotConfirmed, Refused
from shared.messaging.publisher import CONFIRM_TIMEOUT_SECONDS, Publisher
from shared.messaging.store import OutboxRow
from shared.postgres.database import Database
from shared.postgres.errors import PASSING
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: What the relay waits out, for as long as it takes.
_WAITS: tuple[type[BaseException], ...] = (NotConfirmed, *PASSING)

#: Rows leased at once. Each is a whole batch, so this is up to 50,000 events.
CLAIM_LIMIT = 100
#: Longer than a confirm may take, so that a live relay never loses a lease to a rival.
LEASE_SECONDS = 30.0
#: Pause of a refused type: doubled from the first to the second.
REFUSED_PAUSE_SECONDS = (0.5, 30.0)
#: Seconds to wait for the confirm of a type that was not taken the last time: others wait for the same claim.
PROBE_TIMEOUT_SECONDS = 2.0


class Relay:
    """One in each replica. Woken in-process at commit; the poll only finds what a dead replica left behind."""

    def __init__(self, database: Database, publisher: Publisher, metrics: Metrics, *, poll_seconds: float) -> None:
        self._database = database
        self._publisher = publisher
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._claimant: UUID = uuid4()
        self._awake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        #: Types the broker does not take now -> (loop time until which each waits, its last pause).
        self._refused: dict[str, tuple[float, float]] = {}

    def wake(self) -> None:
        """Something was committed."""
        self._awake.set()

    def start(self) -> None:
        """Begin to publish."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def stop(self, timeout_seconds: float) -> None:
        """Send what is left, within ``timeout_seconds``; what remains stays in the outbox for the next start."""
        self._stopping = True
        self._awake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_seconds / 2)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._drain(timeout_seconds / 2)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            await self._publisher.connected.wait()
            self._awake.clear()
            try:
                claimed = await self.run_once()
                failures = 0
                # A full claim may have left rows behind it, also when all of its own were refused.
                if claimed < CLAIM_LIMIT:
                    await self._rest()
            except Exception as error:  # noqa: BLE001 - a relay that ended would strand every order in silence
                failures += 1
                pause = min(0.1 * 2 ** min(failures, 8), 5.0)
                log = _log.warning if isinstance(error, _WAITS) else _log.exception
                log("the relay waits", error=f"{type(error).__name__}: {error}", again_in_seconds=pause)
                await asyncio.sleep(pause)

    async def run_once(self) -> int:
        """Lease, publish, mark; returns how many rows were leased.

        A type that the broker does not take backs off alone. Raises NotConfirmed when the outcome of any row is
        unknown since the connection went: those rows are free again and will be repeated under the same message id,
        which every receiver's inbox knows.
        """
        async with self._database.acquire() as connection:
            rows = await store.claim_outbox(
                connection,
                limit=CLAIM_LIMIT,
                claimant=self._claimant,
                lease_seconds=LEASE_SECONDS,
                refused_types=self._waiting_types(),
            )
        if not rows:
            return 0
        results = await asyncio.gather(*(self._publish(row) for row in rows))
        sent = [row for row, error in zip(rows, results, strict=True) if error is None]
        failed = {row.id: str(error) for row, error in zip(rows, results, strict=True) if error is not None}
        await self._record(sent, failed)
        for error in results:
            if isinstance(error, NotConfirmed) and not isinstance(error, NoAnswer):
                raise error
        return len(rows)

    async def _drain(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                while await self.run_once():
                    pass
        except _WAITS as error:
            _log.warning("the outbox was not emptied; its rows wait for the next start", error=str(error))

    async def _publish(self, row: OutboxRow) -> NotConfirmed | Refused | None:
        was_refused = row.message.type in self._refused
        try:
            await self._publisher.publish(
                row.message, PROBE_TIMEOUT_SECONDS if was_refused else CONFIRM_TIMEOUT_SECONDS
            )
        except (Refused, NoAnswer) as error:
            self._back_off(row.message.type, error)
            return error
        except NotConfirmed as error:
            return error
        self._refused.pop(row.message.type, None)
        return None

    async def _record(self, sent: Sequence[OutboxRow], failed: dict[int, str]) -> None:
        async with self._database.acquire() as connection:
            if sent:
                await store.mark_outbox_sent(connection, ids=[row.id for row in sent], claimant=self._claimant)
            if failed:
                await store.release_outbox(connection, reasons=failed, claimant=self._claimant)
        for row in sent:
            self._metrics.sent(row.message.type, row.event_count, row.age_seconds)

    def _back_off(self, message_type: str, error: Refused | NoAnswer) -> None:
        now = asyncio.get_running_loop().time()
        until, pause = self._refused.get(message_type, (0.0, 0.0))
        if now >= until:
            first, most = REFUSED_PAUSE_SECONDS
            pause = min(max(pause * 2, first), most)
            self._refused[message_type] = (now + pause, pause)
            self._metrics.refused(message_type)
            _log.warning("the broker does not take a type", type=message_type, error=str(error), again_in_seconds=pause)

    def _waiting_types(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [name for name, (until, _) in self._refused.items() if until > now]

    async def _rest(self) -> None:
        now = asyncio.get_running_loop().time()
        ends = [until - now for until, _ in self._refused.values() if until > now]
        try:
            async with asyncio.timeout(min([self._poll_seconds, *ends])):
                await self._awake.wait()
        except TimeoutError:
            return
