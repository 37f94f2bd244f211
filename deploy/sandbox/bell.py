"""Waiting for a change instead of asking again and again."""

import asyncio
from collections.abc import Callable


class Bell:
    """Wakes everybody who waits, each time it rings."""

    def __init__(self) -> None:
        """Start silent."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits now."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait_until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Return True once `condition` holds, looking again at each ring; False after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not condition():
                    await self._event.wait()
        except TimeoutError:
            return condition()
        return True
