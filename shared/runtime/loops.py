"""Periodic work. A loop only waits and calls ``run_once``; what is done is tested through that function alone."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.postgres.errors import PASSING
from shared.runtime.clock import Clock, SystemClock

_log = structlog.get_logger()

#: Doublings of a pause at most. Without it an hour of failures would make a number too large for a float.
_MOST_DOUBLINGS = 8


class Loop:
    """Calls ``run_once`` when woken, and at the latest after ``interval_seconds``.

    ``run_once`` returns the seconds after which it wants to run again, if that is sooner: 0 for "there is more".
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[float | None]],
        *,
        interval_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.run_once = run_once
        self._interval_seconds = interval_seconds
        self._clock = clock or SystemClock()
        self._awake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Run soon."""
        self._awake.set()

    def start(self) -> None:
        """Begin, with a first run at once."""
        self._task = asyncio.create_task(self._run(), name=f"loop {self.name}")

    async def stop(self, timeout_seconds: float) -> None:
        """Finish the run that is under way; cancel it after ``timeout_seconds``."""
        self._stopping = True
        self._awake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._awake.clear()
            try:
                pause = await self.run_once()
                failures = 0
            except PASSING as error:
                failures += 1
                pause = min(0.2 * 2 ** min(failures, _MOST_DOUBLINGS), 5.0)
                _log.warning("a loop waits", loop=self.name, error=repr(error)[:300], again_in_seconds=pause)
            except Exception:  # noqa: BLE001 - see below
                # A loop that ended would strand orders in silence; it goes on, slowly and loudly.
                failures += 1
                pause = min(1.0 * 2 ** min(failures, _MOST_DOUBLINGS), 60.0)
                _log.exception("a loop failed", loop=self.name, again_in_seconds=pause)
            if pause is None or pause > 0:
                seconds = self._interval_seconds if pause is None else min(pause, self._interval_seconds)
                await self._clock.wait(self._awake, seconds)
            else:
                await asyncio.sleep(0)
