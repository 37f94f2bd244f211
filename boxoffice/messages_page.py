"""The AsyncAPI document as a page for people: every message with who sends it, who takes it in, and its fields."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_HEAD = """# Messages

Made from [asyncapi.json](asyncapi.json) by `make schemas`; do not edit. The envelope is the same for all: one AMQP
message is a JSON list of CloudEvents of one type. What differs is their `data`, described here. How messages travel,
and what happens to one that fails, is in [the architecture](../architecture.md#messages).

"""


def render(document: Mapping[str, Any]) -> str:
    """The page, in Markdown."""
    schemas = document["components"]["schemas"]
    messages = document["components"]["messages"]
    lines = [_HEAD, "| message | type | from | to |", "| --- | --- | --- | --- |"]
    for name, message in messages.items():
        senders, receivers = _services(document, "send", name), _services(document, "receive", name)
        lines.append(f"| [{message['title']}](#{_anchor(name)}) | `{name}` | {senders} | {receivers} |")
    for name, message in messages.items():
        exchange = document["channels"][name]["bindings"]["amqp"]["exchange"]
        lines += ["", f"## {name}", "", message["summary"], ""]
        lines += [f"Exchange `{exchange['name']}` ({exchange['type']}), routing key `{name}`.", ""]
        lines += ["| field | type | |", "| --- | --- | --- |", *_rows(_data_of(schemas, name))]
        lines += ["", "```json", _example(message), "```"]
    parts = sorted(set(_parts(schemas, messages)))
    lines += ["", "## Parts", "", "Values inside messages."]
    for part in parts:
        lines += ["", f"### {part}", "", _one_line(schemas[part].get("description", "")), ""]
        lines += ["| field | type | |", "| --- | --- | --- |", *_rows(schemas[part])]
    return "\n".join(lines) + "\n"


def _services(document: Mapping[str, Any], action: str, name: str) -> str:
    found = [key.split(".")[0] for key in document["operations"] if key.endswith(f".{action}.{name}")]
    return ", ".join(found)


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _data_of(schemas: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    data = schemas[f"{name}.batch"]["items"]["allOf"][1]["properties"]["data"]
    return _follow(schemas, data)


def _follow(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    found: Mapping[str, Any] = schema if reference is None else schemas[reference.rsplit("/", 1)[1]]
    return found


def _rows(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        kind = _kind(field) + ("" if name in required else ", optional")
        yield f"| `{name}` | {kind} | {_one_line(_said(field))} |"


def _kind(field: Mapping[str, Any]) -> str:
    """The type in a few words, with its limits."""
    if "$ref" in field:
        part = field["$ref"].rsplit("/", 1)[1]
        return f"[{part}](#{part.lower()})"
    if "anyOf" in field:
        return " or ".join(_kind(one) for one in field["anyOf"] if one.get("type") != "null")
    if "const" in field or "enum" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        least, most = field.get("minItems", 0), field.get("maxItems")
        return f"list{'' if most is None else f' of {least} to {most}'}: {_kind(field['items'])}"
    if field.get("type") == "integer":
        least, most = field.get("minimum"), field.get("maximum")
        return f"integer{'' if least is None else f' from {least}'}{'' if most is None else f' to {most}'}"
    pattern = str(field.get("pattern", ""))
    # A long one is for programs, which read it in the document itself.
    form = field.get("format") or (f"`{pattern}`".replace("|", "\\|") if 0 < len(pattern) <= 40 else "")
    most = f"at most {field['maxLength']} characters" if "maxLength" in field else ""
    return ", ".join(filter(None, (field.get("type", "any"), form, most)))


def _said(field: Mapping[str, Any]) -> str:
    if "description" in field:
        return str(field["description"])
    return next((_said(one) for one in field.get("anyOf", ()) if _said(one)), "")


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _example(message: Mapping[str, Any]) -> str:
    events = [event for example in message["examples"] for event in example["payload"]]
    fullest = max(events, key=lambda event: len(orjson.dumps(event["data"])))
    return orjson.dumps(fullest["data"], option=orjson.OPT_INDENT_2).decode()


def _parts(schemas: Mapping[str, Any], messages: Mapping[str, Any]) -> Iterator[str]:
    """Every part that a message's data leads to."""
    waiting: list[Any] = [_data_of(schemas, name) for name in messages]
    known: set[str] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            reference = one.get("$ref")
            if isinstance(reference, str) and (part := reference.rsplit("/", 1)[1]) not in known:
                known.add(part)
                yield part
                waiting.append(schemas[part])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
