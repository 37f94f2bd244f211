"""A clock that only a test moves."""

import asyncio


class SteppedClock:
    """Waits end when the event is set or the test has advanced the time far enough; true time does not count."""

    def __init__(self) -> None:
        self._now = 0.0
        self._moved = asyncio.Condition()
        #: What each wait asked for, in seconds.
        self.waits: list[float] = []
        self.sleeping = asyncio.Event()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when ``event`` is set or ``seconds`` of this clock are over."""
        self.waits.append(seconds)
        until = self._now + seconds
        self.sleeping.set()
        woken = asyncio.create_task(event.wait())
        passed = asyncio.create_task(self._reach(until))
        try:
            await asyncio.wait({woken, passed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (woken, passed):
                task.cancel()
            await asyncio.gather(woken, passed, return_exceptions=True)
            self.sleeping.clear()

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` go by."""
        async with self._moved:
            self._now += seconds
            self._moved.notify_all()

    async def _reach(self, moment: float) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= moment)
