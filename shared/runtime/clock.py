"""Waiting, behind one small door, so that a test can move hours without spending them."""

import asyncio
from typing import Protocol


class Clock(Protocol):
    """How a loop waits."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when ``event`` is set or ``seconds`` are over."""


class SystemClock:
    """The real one."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when ``event`` is set or ``seconds`` are over."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
