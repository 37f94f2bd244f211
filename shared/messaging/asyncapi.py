"""The AsyncAPI 3.0 document of all messages, made from the registry: who sends what over which exchange, who takes it.

It is made for its committed copy (``docs/api/asyncapi.json``) and for tests; no service needs it.
"""

import re
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from shared.contracts.base import Message
from shared.contracts.registry import ABOUT, CONSUMERS, MESSAGES, PRODUCERS, SERVICES, ServiceName
from shared.contracts.schemas import SAMPLES, StrictSchema
from shared.messaging.cloudevents import CONTENT_TYPE, MAX_BYTES, MAX_EVENTS
from shared.messaging.topology import (
    DELIVERY_LIMIT,
    MAX_QUEUE_BYTES,
    RETRY_TIERS_SECONDS,
    Topology,
    durable_consumers,
    is_mandatory,
)

_TEMPLATE = "#/components/schemas/{model}"
_BINDING = "0.3.0"
_TEXT = f"""How the services of Boxoffice speak with each other. Everything is delivered at least once and in any order;
every consumer remembers message ids, so that a repeat has no second effect.

One AMQP message is a batch of CloudEvents 1.0 of one type (1 to {MAX_EVENTS} events, at most {MAX_BYTES // 1024} KiB).
Its routing key and its property `type` are that type. Facts go to a topic exchange, requests to a direct one. A type
changes by optional fields only, and readers ignore what they do not know. Money is a whole number of kobo."""


def make_document() -> dict[str, Any]:
    """The document, with the names of the shipped namespace."""
    topology = Topology()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:boxoffice",
        "info": {"title": "Boxoffice messages", "version": "1", "description": _TEXT},
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "RabbitMQ 3.10 or newer. Queues are quorum queues.",
                "variables": {
                    "host": {"default": "127.0.0.1", "description": "Where RabbitMQ is."},
                    "port": {"default": "5672", "description": "Its AMQP port; the local stack takes a free one."},
                },
            }
        },
        "channels": {
            **{model.TYPE: _exchange(model, topology) for model in MESSAGES.values()},
            **{f"queue.{service}": _queue(service, topology) for service in SERVICES},
        },
        "operations": {
            **{f"{service}.send.{model.TYPE}": _send(service, model) for model, service in PRODUCERS.items()},
            **{
                f"{service}.receive.{model.TYPE}": _receive(service, model)
                for service, models in CONSUMERS.items()
                for model in models
            },
        },
        "components": {
            "messages": {model.TYPE: _message(model) for model in MESSAGES.values()},
            "schemas": {**_schemas(), **{f"{model.TYPE}.batch": _batch(model) for model in MESSAGES.values()}},
        },
    }


def _exchange(model: type[Message], topology: Topology) -> dict[str, Any]:
    kind = "direct" if model.COMMAND else "topic"
    return {
        "address": model.TYPE,
        "title": f"{'Request' if model.COMMAND else 'Fact'}: {words_of(model)}",
        "description": _text_of(model),
        "messages": {model.TYPE: {"$ref": f"#/components/messages/{model.TYPE}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": topology.exchange_of(model),
                    "type": kind,
                    "durable": True,
                    "autoDelete": False,
                    "vhost": "/",
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _queue(service: ServiceName, topology: Topology) -> dict[str, Any]:
    queue: dict[str, Any] = {"durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    if service in durable_consumers():
        queue = {"name": topology.queue(service), **queue}
        retries = ", ".join(f"`{topology.retry_queue(service, seconds)}`" for seconds in RETRY_TIERS_SECONDS)
        text = (
            f"{ABOUT[service]} A quorum queue of at most {MAX_QUEUE_BYTES // 1024**2} MiB. What fails waits in "
            f"{retries} and comes back; what is given up, or came {DELIVERY_LIMIT} times, goes to "
            f"`{topology.dead_queue(service)}` with its reason in the header `x-reason`."
        )
    else:
        queue = {**queue, "durable": False, "exclusive": True, "autoDelete": True}
        text = f"{ABOUT[service]} Each replica has a queue of its own, named by the broker, while it runs."
    return {
        "address": queue.get("name"),
        "title": f"What {service} takes in",
        "description": text,
        "messages": {model.TYPE: {"$ref": f"#/components/messages/{model.TYPE}"} for model in CONSUMERS[service]},
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": _BINDING}},
    }


def _send(service: ServiceName, model: type[Message]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{model.TYPE}"},
        "title": f"{service} sends {words_of(model)}",
        "messages": [{"$ref": f"#/channels/{model.TYPE}/messages/{model.TYPE}"}],
        "tags": [{"name": service}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": is_mandatory(model.TYPE), "bindingVersion": _BINDING}},
    }


def _receive(service: ServiceName, model: type[Message]) -> dict[str, Any]:
    channel = f"#/channels/queue.{service}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "title": f"{service} takes in {words_of(model)}",
        "messages": [{"$ref": f"{channel}/messages/{model.TYPE}"}],
        "tags": [{"name": service}],
        "bindings": {"amqp": {"ack": service in durable_consumers(), "bindingVersion": _BINDING}},
    }


def _message(model: type[Message]) -> dict[str, Any]:
    return {
        "name": model.TYPE,
        "title": words_of(model),
        "summary": _text_of(model),
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{model.TYPE}.batch"},
        "examples": [
            {"name": path.stem, "payload": orjson.loads(path.read_bytes())}
            for path in sorted((SAMPLES / model.TYPE).glob("*.json"))
        ],
        "bindings": {"amqp": {"messageType": model.TYPE, "bindingVersion": _BINDING}},
    }


def _batch(model: type[Message]) -> dict[str, Any]:
    source = f"/boxoffice/{PRODUCERS[model]}"
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_EVENTS,
        "items": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": model.TYPE},
                        "source": {"const": source},
                        "data": {"$ref": f"#/components/schemas/{model.__name__}"},
                    },
                },
            ]
        },
    }


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema(
        [(model, "validation") for model in MESSAGES.values()],
        ref_template=_TEMPLATE,
        schema_generator=StrictSchema,
    )
    return {"CloudEvent": _ENVELOPE, **dict(sorted(made["$defs"].items()))}


_ENVELOPE: dict[str, Any] = {
    "title": "CloudEvent",
    "description": "One event of a batch: CloudEvents 1.0 in its JSON format.",
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "The event's own id; a repeat has another."},
        "source": {"type": "string", "description": "The service that gave it out."},
        "type": {"type": "string"},
        "time": {"type": "string", "format": "date-time", "description": "When it was decided."},
        "subject": {"type": "string", "format": "uuid", "description": "The order's id; a tier's in tier.changed.v1."},
        "datacontenttype": {"const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C Trace Context, of the request or message behind it."},
        "data": {"type": "object"},
    },
}


def words_of(model: type[Message]) -> str:
    """A message's name as documents have it: ``OrderCreated``."""
    return re.sub(r"V[0-9]+$", "", model.__name__)


def _text_of(model: type[Message]) -> str:
    # A docstring's line breaks are an editor's, not a reader's; its literals are Markdown's with one backtick.
    text = re.sub(r"\s*\n\s*", " ", (model.__doc__ or "").strip())
    return text.replace("``", "`")
