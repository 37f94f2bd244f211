"""A loop goes on, whatever its work does."""

import asyncio

import pytest

from shared.runtime.loops import Loop
from tests.clocks import SteppedClock
from tests.harness import PATIENCE_SECONDS


class Work:
    """Fails in its own way, and counts."""

    def __init__(self, error: Exception | None = None, fails: int = 0) -> None:
        self.error = error
        self.fails = fails
        self.runs = 0
        self.ran = asyncio.Event()

    async def run_once(self) -> float | None:
        self.runs += 1
        self.ran.set()
        if self.error is not None and self.runs <= self.fails:
            raise type(self.error)  # a new one each time, as true failures are
        return None


class NoWait(SteppedClock):
    """Waits take no time, and are noted; an endless one ends them all."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        if seconds >= 1000:
            await event.wait()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error", "fails", "longest"),
    [(ConnectionRefusedError(), 2000, 5.0), (ZeroDivisionError(), 20, 60.0)],
    ids=["engine", "bug"],
)
async def test_a_loop_outlives_hours_of_failures(error: Exception, fails: int, longest: float) -> None:
    clock, work = NoWait(), Work(error, fails)
    loop = Loop("work", work.run_once, interval_seconds=1000, clock=clock)
    loop.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while work.runs <= fails:
            work.ran.clear()
            await work.ran.wait()
    await loop.stop(1)
    assert clock.waits[0] < 3
    assert clock.waits[fails - 1] == longest


async def test_a_loop_that_is_woken_does_not_wait() -> None:
    work = Work()
    loop = Loop("work", work.run_once, interval_seconds=3600)
    loop.start()
    for _ in range(3):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await work.ran.wait()
        work.ran.clear()
        loop.wake()
    await loop.stop(1)
    assert work.runs >= 3
