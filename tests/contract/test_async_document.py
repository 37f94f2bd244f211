"""The AsyncAPI document: valid by the standard's own parser, the registry's whole, and true of every sample."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from shared.contracts.registry import MESSAGES, SERVICES
from shared.contracts.schemas import SAMPLES
from shared.messaging.asyncapi import make_document, words_of
from shared.messaging.cloudevents import CONTENT_TYPE
from shared.messaging.topology import Topology, durable_consumers
from tests.asyncapi_parser import Parser
from tests.contract.test_registry import TABLE
from tests.messages import payload_faults


@pytest.fixture(scope="module")
def document() -> Mapping[str, Any]:
    """The document, as a reader gets it."""
    made: dict[str, Any] = orjson.loads(orjson.dumps(make_document()))
    return made


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    """The standard's own."""
    one = Parser()
    yield one
    one.close()


async def test_the_standards_own_parser_has_nothing_to_say(document: Mapping[str, Any], parser: Parser) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert await parser.complaints(document) == []


def small(**changes: Any) -> dict[str, Any]:
    """The least that is a document, with changes."""
    message = {"payload": {"type": "object"}}
    operation = {"action": "send", "channel": {"$ref": "#/channels/c"}}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "x", "version": "1"},
        "channels": {"c": {"messages": {"m": message}}, "d": {"messages": {"m": message}}},
        "operations": {"o": {**operation, **changes}},
    }


async def test_the_parser_refuses_what_is_no_asyncapi(parser: Parser) -> None:
    def codes(complaints: list[str]) -> set[str]:
        return {one.split(" at ")[0] for one in complaints}

    usual = codes(await parser.complaints(small()))
    wrong: dict[str, dict[str, Any]] = {
        "asyncapi-document-resolved": {"action": "shout"},
        "invalid-ref": {"channel": {"$ref": "#/channels/nowhere"}},
        "asyncapi3-operation-messages-from-referred-channel": {"messages": [{"$ref": "#/channels/d/messages/m"}]},
    }
    for code, changes in wrong.items():
        assert code not in usual
        assert code in codes(await parser.complaints(small(**changes)))


def test_operations_are_the_designs_table(document: Mapping[str, Any]) -> None:
    assert set(document["components"]["messages"]) == set(MESSAGES)
    for service, (takes_in, gives_out) in TABLE.items():
        for action, expected in (("receive", takes_in), ("send", gives_out)):
            prefix = f"{service}.{action}."
            found = {name.removeprefix(prefix) for name in document["operations"] if name.startswith(prefix)}
            assert {words_of(MESSAGES[name]) for name in found} == set(expected.split()), (service, action)
            assert {document["operations"][f"{prefix}{name}"]["action"] for name in found} <= {action}


def test_channels_are_the_exchanges_and_queues_that_are_declared(document: Mapping[str, Any]) -> None:
    topology = Topology()
    for name, model in MESSAGES.items():
        exchange = document["channels"][name]["bindings"]["amqp"]["exchange"]
        assert (document["channels"][name]["address"], exchange["name"]) == (name, topology.exchange_of(model))
        assert exchange["type"] == ("direct" if model.COMMAND else "topic")
    for service in SERVICES:
        channel = document["channels"][f"queue.{service}"]
        assert channel["address"] == (topology.queue(service) if service in durable_consumers() else None)
        if service in durable_consumers():
            assert topology.dead_queue(service) in channel["description"]


@pytest.mark.parametrize("message_type", MESSAGES)
def test_every_sample_is_what_the_document_says(document: Mapping[str, Any], message_type: str) -> None:
    message = document["components"]["messages"][message_type]
    paths = sorted((SAMPLES / message_type).glob("*.json"))
    assert [one["payload"] for one in message["examples"]] == [orjson.loads(path.read_bytes()) for path in paths]
    assert message["contentType"] == CONTENT_TYPE
    for example in message["examples"]:
        assert payload_faults(document, message_type, example["payload"]) == []
    first = message["examples"][0]
    changes: tuple[dict[str, Any], ...] = (
        {"type": "other.v1"},
        {"source": "/boxoffice/nobody"},
        {"id": 7},
        {"data": {}},
        {"specversion": "2"},
    )
    for change in changes:
        assert payload_faults(document, message_type, [{**first["payload"][0], **change}]), change
    assert payload_faults(document, message_type, [])
    assert payload_faults(document, message_type, first["payload"][:1] * 501)
