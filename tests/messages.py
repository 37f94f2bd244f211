"""What services publish, compared with the AsyncAPI document: every message, as it is on the wire."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aio_pika.abc import AbstractIncomingMessage
from jsonschema import Draft7Validator, FormatChecker

from shared.contracts.registry import MESSAGES
from shared.messaging.cloudevents import CONTENT_TYPE, MAX_BYTES
from tests.harness import PATIENCE_SECONDS, Wire
from tests.waiting import until


def payload_faults(document: Mapping[str, Any], message_type: str, payload: Any) -> list[str]:
    """Why a message's body is not what the document says of its type."""
    reference = document["components"]["messages"][message_type]["payload"]
    # A $ref hides what stands beside it in draft 7, which AsyncAPI's schemas are.
    schema = {"allOf": [reference], "components": document["components"]}
    checker = Draft7Validator(schema, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}"[:300] for error in checker.iter_errors(payload)]


@dataclass
class Overheard:
    """Hears every message of both exchanges; what was wrong is in ``faults``, which types were heard in ``seen``."""

    document: Mapping[str, Any]
    seen: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def on(cls, wire: Wire, document: Mapping[str, Any]) -> AsyncIterator[Self]:
        """Listen from now on, under the wire's namespace."""
        overheard = cls(document)
        queue = await wire.channel.declare_queue(exclusive=True, auto_delete=True)
        for model in MESSAGES.values():
            await queue.bind(wire.topology.exchange_of(model), routing_key=model.TYPE)
        tag = await queue.consume(overheard.hear, no_ack=True)
        yield overheard
        await queue.cancel(tag)

    async def all_of(self, types: set[str]) -> None:
        """Wait until each of these was heard."""
        try:
            await until(lambda: types <= self.seen, PATIENCE_SECONDS, "every message")
        except AssertionError as error:
            raise AssertionError(f"never heard: {sorted(types - self.seen)}") from error

    async def hear(self, message: AbstractIncomingMessage) -> None:
        """Compare one message."""
        name = message.type or ""
        said = self.document["components"]["messages"].get(name)
        if said is None:
            self.faults.append(f"the type {name!r} is not documented")
            return
        self.seen.add(name)
        if (message.routing_key, message.content_type) != (name, CONTENT_TYPE) or said["contentType"] != CONTENT_TYPE:
            self.faults.append(f"{name} went by {message.routing_key!r} as {message.content_type!r}")
        if len(message.body) > MAX_BYTES:
            self.faults.append(f"{name} has {len(message.body)} bytes")
        self.faults += [f"{name}: {fault}" for fault in payload_faults(self.document, name, orjson.loads(message.body))]
