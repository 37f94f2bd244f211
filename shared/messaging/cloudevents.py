"""CloudEvents 1.0 in batch mode (``application/cloudevents-batch+json``): the form of every message on the wire.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md section 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from pydantic import ValidationError

from shared.contracts.base import Message
from shared.contracts.registry import MESSAGES, PRODUCERS
from shared.messaging.exceptions import UnknownType, Unreadable
from shared.runtime.trace import readable_traceparent

CONTENT_TYPE = "application/cloudevents-batch+json"
#: Events in one message at most.
MAX_EVENTS = 500
#: Octets in one message at most.
MAX_BYTES = 1024 * 1024

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[M_co]):
    """One event of a batch: its own identity, time and trace, and the data of one message type."""

    id: UUID
    time: datetime
    data: M_co
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The wire type."""
        return self.data.TYPE


def encode_event(event: Event[Message]) -> bytes:
    """One event in CloudEvents' JSON form."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": f"/boxoffice/{PRODUCERS[type(event.data)]}",
        "type": event.type,
        "time": event.time,
        "subject": str(event.data.subject),
        "datacontenttype": "application/json",
    }
    if event.traceparent is not None:
        envelope["traceparent"] = event.traceparent
    envelope["data"] = orjson.Fragment(event.data.model_dump_json(exclude_none=True).encode())
    return orjson.dumps(envelope, option=orjson.OPT_UTC_Z)


def encode_batches(events: Sequence[Event[Message]]) -> Iterator[tuple[bytes, int]]:
    """Batches of at most 500 events and 1 MiB, each as ``(body, number of events)``.

    Raises ValueError for one event that is larger than a whole batch may be: nobody could read it.
    """
    parts: list[bytes] = []
    size = 2
    for event in events:
        part = encode_event(event)
        if len(part) + 2 > MAX_BYTES:
            raise ValueError(f"one {event.type} event of {len(part)} bytes exceeds the {MAX_BYTES} bytes of a message")
        if parts and (len(parts) == MAX_EVENTS or size + len(part) + 1 > MAX_BYTES):
            yield b"[" + b",".join(parts) + b"]", len(parts)
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b"[" + b",".join(parts) + b"]", len(parts)


def decode_batch(body: bytes, content_type: str | None, message_type: str | None) -> tuple[Event[Message], ...]:
    """The events of one message.

    Raises UnknownType for a type (or version) that no model of ours reads, and Unreadable for anything else that is
    not a batch of that type: both are final, since reading again gives the same.
    """
    if content_type != CONTENT_TYPE:
        raise Unreadable(f"the content type is {content_type!r}, not {CONTENT_TYPE}")
    if len(body) > MAX_BYTES:
        raise Unreadable(f"the message has {len(body)} bytes; {MAX_BYTES} is the most")
    model = MESSAGES.get(message_type or "")
    if model is None:
        raise UnknownType(f"no model reads the type {message_type!r}")
    try:
        envelopes = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    if not isinstance(envelopes, list) or not 1 <= len(envelopes) <= MAX_EVENTS:
        raise Unreadable(f"the body is not a list of 1 to {MAX_EVENTS} events")
    return tuple(_decode_event(envelope, model, position) for position, envelope in enumerate(envelopes))


def split_batch(body: bytes) -> list[tuple[bytes, int]]:
    """Each event of a batch as a batch of its own, with nothing added or left out: ``(body, position)``."""
    return [(orjson.dumps([envelope]), position) for position, envelope in enumerate(orjson.loads(body))]


def _decode_event(envelope: Any, model: type[Message], position: int) -> Event[Message]:
    try:
        if envelope["specversion"] != "1.0" or envelope["type"] != model.TYPE:
            raise Unreadable(f"event {position} is not a CloudEvents 1.0 event of type {model.TYPE}")
        return Event(
            id=UUID(envelope["id"]),
            time=datetime.fromisoformat(envelope["time"]),
            data=model.model_validate_json(orjson.dumps(envelope["data"])),
            traceparent=readable_traceparent(envelope.get("traceparent")),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unreadable(f"event {position}, {where}: {first['msg']} ({error.error_count()} errors)") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"event {position} is malformed: {type(error).__name__}: {error}") from error
