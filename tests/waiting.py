"""Wait for a condition instead of sleeping for a guessed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
STEP_SECONDS = 0.02


@overload
async def until(condition: Callable[[], Awaitable[T]], timeout_seconds: float, what: str) -> T: ...
@overload
async def until(condition: Callable[[], T], timeout_seconds: float, what: str) -> T: ...
async def until(condition: Callable[[], T | Awaitable[T]], timeout_seconds: float, what: str) -> T:
    """Ask until the answer is truthy, and return it. Raises AssertionError that names `what` after the time-out.

    The condition may be a plain function or a coroutine function.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = condition()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
        await asyncio.sleep(STEP_SECONDS)
