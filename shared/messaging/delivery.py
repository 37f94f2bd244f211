"""A message as it came, apart from how it came."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.base import Message
from shared.messaging.cloudevents import CONTENT_TYPE, MAX_BYTES, MAX_EVENTS, Event, decode_batch
from shared.messaging.exceptions import UnknownType, Unreadable
from shared.messaging.store import SUSPECT_HEADER
from shared.messaging.verdicts import SUSPECT_REDELIVERIES
from shared.runtime.ids import derived_id

#: Headers of ours on retried and dead messages.
TRIES_HEADER = "x-tries"
REASON_HEADER = "x-reason"
FAILED_AT_HEADER = "x-failed-at"
ORIGIN_HEADER = "x-origin-queue"


@dataclass(slots=True)
class Delivery:
    """One message from a queue, read once."""

    message_id: UUID
    type: str
    content_type: str | None
    body: bytes
    headers: dict[str, Any]
    #: The events, or why they cannot be read.
    events: tuple[Event[Message], ...] = ()
    unreadable: Unreadable | UnknownType | None = None
    #: Place among the messages of its channel; larger came later.
    tag: int = 0
    event_count: int = field(default=0)
    #: When it came, on this process's monotonic clock.
    arrived_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        try:
            self.events = decode_batch(self.body, self.content_type, self.type)
            self.event_count = len(self.events)
        except UnknownType as error:
            self.unreadable = error
        except Unreadable as error:
            self.unreadable = error
            self.event_count = _count_readable(self.body, self.content_type)
        except Exception as error:  # noqa: BLE001 - whatever a body does to its reader, it must get an answer
            self.unreadable = Unreadable(f"reading it failed: {type(error).__name__}: {error}")

    @property
    def tries(self) -> int:
        """Which try this is, from 1; deliveries that were never answered do not count."""
        tries = self.headers.get(TRIES_HEADER, 0)
        return (tries if isinstance(tries, int) else 0) + 1

    @property
    def in_hand_seconds(self) -> float:
        """How long ago the broker handed it out."""
        return time.monotonic() - self.arrived_at

    @property
    def redeliveries(self) -> int:
        """How often the broker has given this message out before without an answer."""
        count = self.headers.get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0

    @property
    def is_suspect(self) -> bool:
        """Whether handling it may end the process: it is taken apart, or handled alone."""
        return bool(self.headers.get(SUSPECT_HEADER)) or self.redeliveries >= SUSPECT_REDELIVERIES


def message_id_of(text: str | None, body: bytes) -> UUID:
    """The message's id as a UUID; one derived from what came where a foreign producer set none or another kind."""
    try:
        return UUID(text or "")
    except ValueError:
        return derived_id(UUID(int=0), text, len(body), body[:1024].hex())


def _count_readable(body: bytes, content_type: str | None) -> int:
    # A batch in which one event is malformed can still be taken apart; anything else cannot.
    if len(body) > MAX_BYTES or content_type != CONTENT_TYPE:
        return 0
    try:
        envelopes = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0
    return len(envelopes) if isinstance(envelopes, list) and len(envelopes) <= MAX_EVENTS else 0
