"""What is done with a message whose handling failed: one pure function."""

from dataclasses import dataclass

from shared.messaging.exceptions import NotConfirmed, RejectedForGood, UnknownType, Unreadable
from shared.messaging.topology import RETRY_TIERS_SECONDS
from shared.postgres.errors import CONTENTION, ENGINE_DOWN

#: Tries of one event before it is given up, the first included.
MAX_TRIES = 5
#: Waits for rival transactions in one try; a statement that is always too slow must not hold up its queue for ever.
MAX_CONTENTION_WAITS = 20
#: A message redelivered this often without an answer may be killing its process.
SUSPECT_REDELIVERIES = 3
#: Lone tries of a suspect that did not come back, before it is given up.
MAX_LONE_TRIES = 2


@dataclass(frozen=True, slots=True)
class Wait:
    """An engine is away, or two transactions met: the same message again, and no try is spent."""


@dataclass(frozen=True, slots=True)
class Split:
    """The batch is taken apart, so that the good events in it go through."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The event comes back after a pause."""

    after_seconds: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The event is given up; the reason stands in its dead letter."""

    reason: str


Verdict = Wait | Split | Retry | DeadLetter


def decide_verdict(error: BaseException, *, tries: int, event_count: int, waits: int = 0) -> Verdict:
    """What to do after ``error``, in the ``tries``-th try (from 1) of a message with ``event_count`` events.

    ``event_count`` is 0 where the body is no list of events at all; ``waits`` counts the waits within this try.
    """
    if isinstance(error, (*ENGINE_DOWN, NotConfirmed)):
        return Wait()
    if isinstance(error, CONTENTION) and waits < MAX_CONTENTION_WAITS:
        return Wait()
    if event_count > 1:
        return Split()
    if isinstance(error, Unreadable | UnknownType | RejectedForGood):
        return DeadLetter(reason_of(error))
    if tries >= MAX_TRIES:
        return DeadLetter(f"failed {tries} times; the last: {reason_of(error)}")
    return Retry(RETRY_TIERS_SECONDS[min(tries, len(RETRY_TIERS_SECONDS)) - 1])


def decide_suspect(*, lone_tries: int) -> DeadLetter | None:
    """Whether a suspect is given up, ``lone_tries`` being those counted before this one."""
    if lone_tries < MAX_LONE_TRIES:
        return None
    return DeadLetter(f"its handling ended the process {lone_tries} times")


def reason_of(error: BaseException) -> str:
    """The error's kind and text, short enough for a header."""
    return f"{type(error).__name__}: {error}"[:500]
