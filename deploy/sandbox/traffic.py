"""What happens to a call before and after it is handled: counters, rate limits, planted faults."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from deploy.sandbox.bell import Bell

WINDOW_SECONDS: Final = 60.0
HOLD_SECONDS: Final = 120.0
# Times of calls that are kept for windows of another length.
_MOST_TIMES: Final = 200_000

# Paystack's published limits per minute: a live account's, with its extended endpoints, and a test account's.
_LIVE: Final = {"initialize": 1200, "verify": 3000}
_DEFAULT: Final = {"live": 600, "test": 100}


@dataclass(slots=True)
class Window:
    """The calls of the last 60 seconds, and the most there ever were in any 60 seconds (or ``seconds``)."""

    calls: deque[float] = field(default_factory=deque)
    most: int = 0
    seconds: float = WINDOW_SECONDS

    def add(self, now: float) -> None:
        """Note a call."""
        self.forget(now)
        self.calls.append(now)
        self.most = max(self.most, len(self.calls))

    def forget(self, now: float) -> None:
        """Drop what is older than the window."""
        while self.calls and self.calls[0] <= now - self.seconds:
            self.calls.popleft()


@dataclass(frozen=True, slots=True)
class Allowance:
    """The answer of the rate limiter, as Paystack's headers tell it."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """Return the three headers; there is no Retry-After."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset_seconds),
        }


class RateLimiter:
    """Refuses calls over the limit in any 60 seconds. Refused calls do not count against it."""

    def __init__(self, setting: str) -> None:
        """Take a number of calls for all endpoints together ("0" = off), "test", or "live" with its larger limits."""
        self._extended = _LIVE if setting == "live" else {}
        self._limit = _DEFAULT[setting] if setting in _DEFAULT else int(setting)
        self._windows: dict[str, Window] = {}

    def ask(self, endpoint: str, now: float) -> Allowance | None:
        """Count a call if it is allowed; None when limits are off."""
        if self._limit == 0:
            return None
        bucket = endpoint if endpoint in self._extended else "all"
        limit = self._extended.get(endpoint, self._limit)
        window = self._windows.setdefault(bucket, Window())
        window.forget(now)
        allowed = len(window.calls) < limit
        if allowed:
            window.add(now)
        reset = math.ceil(window.calls[0] + WINDOW_SECONDS - now) if window.calls else 0
        return Allowance(allowed, limit, limit - len(window.calls), reset)


class Calls:
    """Counts every call that reached the API, per endpoint."""

    def __init__(self) -> None:
        """Start at zero."""
        self._windows: dict[str, Window] = {}
        self._times: dict[str, deque[float]] = {}
        self._counts: Counter[str] = Counter()
        self._answers: dict[str, Counter[str]] = {}

    def arrived(self, endpoint: str, now: float) -> None:
        """Note a call, whatever becomes of it."""
        for name in (endpoint, "all"):
            self._counts[name] += 1
            self._windows.setdefault(name, Window()).add(now)
            self._times.setdefault(name, deque(maxlen=_MOST_TIMES)).append(now)

    def answered(self, endpoint: str, status: int | None) -> None:
        """Note how a call was answered; None means not at all."""
        for name in (endpoint, "all"):
            self._answers.setdefault(name, Counter())[str(status or "none")] += 1

    def view(self, window_seconds: float | None = None) -> dict[str, dict[str, object]]:
        """Return the counts, the most calls in any 60 seconds, and the answers by HTTP status.

        With ``window_seconds`` also the most in any window of that length, from the times of all calls.
        """
        view: dict[str, dict[str, object]] = {}
        for name in sorted(self._counts):
            view[name] = {
                "count": self._counts[name],
                "max_in_60_seconds": self._windows[name].most,
                "answers": dict(self._answers.get(name, {})),
            }
            if window_seconds is not None:
                view[name]["max_in_window"] = most_in_window(self._times[name], window_seconds)
        return view


def most_in_window(times: Iterable[float], seconds: float) -> int:
    """Return the largest number of these rising times that lie within any ``seconds`` of each other."""
    window = Window(seconds=seconds)
    for one in times:
        window.add(one)
    return window.most


@dataclass(slots=True)
class Faults:
    """Planted faults. An empty `endpoints` means all of the API."""

    latency_seconds: float = 0.0
    fail_next: int = 0
    timeout_before_charge: int = 0
    timeout_after_charge: int = 0
    down: bool = False
    insufficient_balance: bool = False
    endpoints: frozenset[str] = frozenset()

    def concern(self, endpoint: str) -> bool:
        """Tell whether this endpoint is meant."""
        return not self.endpoints or endpoint in self.endpoints

    def take(self, name: str) -> bool:
        """Use up one of a counted fault; a negative count never ends."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0


class Traffic:
    """Counters, limits and faults of one sandbox."""

    def __init__(self, rate_limit: str) -> None:
        """Start without faults."""
        self.calls = Calls()
        self.limiter = RateLimiter(rate_limit)
        self.faults = Faults()
        self._released = Bell()
        self._holds = 0

    def release(self) -> None:
        """Let every call go that a fault is holding back."""
        self._holds += 1
        self._released.ring()

    async def hold(self, seconds: float = HOLD_SECONDS) -> None:
        """Hold a call back for `seconds`, or until the faults are cleared or the process ends."""
        before = self._holds
        await self._released.wait_until(lambda: self._holds != before, seconds)


def now() -> float:
    """Return the clock of windows and limits in seconds."""
    return time.monotonic()
