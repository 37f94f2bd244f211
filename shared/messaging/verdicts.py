"""What is done with a message whose handling failed: one pure function."""

from dataclasses import dataclass

import asyncpg

from shared.messaging.exceptions import NotConfirmed, RejectedForGood, TookTooLong, UnknownType, Unreadable
from shared.messaging.topology import RETRY_TIERS_SECONDS
from shared.postgres.errors import CONTENTION, ENGINE_DOWN, UNSTORABLE

#: Tries of one event before it is given up, the first included.
MAX_TRIES = 5
#: Waits for rival transactions in one try; a statement that is always too slow must not hold up its queue for ever.
MAX_CONTENTION_WAITS = 20
#: The same for messages that were merged: soon each is tried alone, with fewer locks.
MAX_MERGED_WAITS = 5
#: Transactions of 30 seconds that one try may begin and not end.
MAX_SLOW_WAITS = 2
#: Seconds a message is kept in hand while an engine is away. Then it waits in a retry queue, without a try spent:
#: the broker takes a consumer that answers nothing for 30 minutes for dead, and counts that against its messages.
MAX_IN_HAND_SECONDS = 600.0
#: A message redelivered this often without an answer may be killing its process.
SUSPECT_REDELIVERIES = 3
#: Lone tries of a suspect that did not come back, before it is given up.
MAX_LONE_TRIES = 2

#: Waiting mends these, unless they are always there: then the message, or our own code, is at fault. asyncpg says
#: InterfaceError both of a connection lost inside a transaction and of a call that can never work.
_BOUNDED: tuple[type[BaseException], ...] = (*CONTENTION, asyncpg.InterfaceError, TookTooLong)


@dataclass(frozen=True, slots=True)
class Wait:
    """An engine is away, or two transactions met: the same message again, and no try is spent."""

    #: Whether this wait is one of a bounded number. An engine that is away is waited for without end.
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """The batch is taken apart, so that the good events in it go through."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The event comes back after a pause."""

    after_seconds: int


@dataclass(frozen=True, slots=True)
class Postpone:
    """An engine has been away for long: the message comes back after a pause, and no try is spent."""

    after_seconds: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The event is given up; the reason stands in its dead letter."""

    reason: str


Verdict = Wait | Split | Retry | Postpone | DeadLetter


def decide_verdict(
    error: BaseException, *, tries: int, event_count: int, waits: int = 0, in_hand_seconds: float = 0.0
) -> Verdict:
    """What to do after ``error``, in the ``tries``-th try (from 1) of a message with ``event_count`` events.

    ``event_count`` is 0 where the body is no list of events at all; ``waits`` counts the counted waits within this
    try; ``in_hand_seconds`` is how long ago the broker handed the message out.
    """
    if _is_worth_a_wait(error, waits, MAX_CONTENTION_WAITS):
        if in_hand_seconds > MAX_IN_HAND_SECONDS:
            return Postpone(RETRY_TIERS_SECONDS[-1])
        return Wait(counted=isinstance(error, _BOUNDED))
    # All events of a message are of one type, so taking it apart would only make more dead letters.
    if event_count > 1 and not isinstance(error, UnknownType):
        return Split()
    if isinstance(error, (Unreadable, UnknownType, RejectedForGood, *UNSTORABLE)):
        return DeadLetter(reason_of(error))
    if tries >= MAX_TRIES:
        return DeadLetter(f"failed {tries} times; the last: {reason_of(error)}")
    return Retry(RETRY_TIERS_SECONDS[min(tries, len(RETRY_TIERS_SECONDS)) - 1])


def decide_merged(error: BaseException, *, waits: int, in_hand_seconds: float = 0.0) -> Wait | Split:
    """Whether messages that failed as one are tried as one again, or each alone, where its own error is judged."""
    if in_hand_seconds <= MAX_IN_HAND_SECONDS and _is_worth_a_wait(error, waits, MAX_MERGED_WAITS):
        return Wait(counted=isinstance(error, _BOUNDED))
    return Split()


def decide_suspect(*, lone_tries: int) -> DeadLetter | None:
    """Whether a suspect is given up, ``lone_tries`` being those counted before this one."""
    if lone_tries < MAX_LONE_TRIES:
        return None
    return DeadLetter(f"its handling ended the process {lone_tries} times")


def reason_of(error: BaseException) -> str:
    """The error's kind and text, short enough for a header."""
    return f"{type(error).__name__}: {error}"[:500]


def _is_worth_a_wait(error: BaseException, waits: int, most: int) -> bool:
    if isinstance(error, TookTooLong):
        return waits < MAX_SLOW_WAITS
    if isinstance(error, _BOUNDED):
        return waits < most
    return isinstance(error, (*ENGINE_DOWN, NotConfirmed))
