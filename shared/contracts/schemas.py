"""The JSON Schemas of all messages, as committed under ``schemas/``: written, and compared with the models.

``python -m shared.contracts.schemas --check`` exits 1 and names each model that differs from its file.
``--write`` writes the files again, and refuses a change that needs a new version: only an added optional field
is the same version (anything else would break a reader or a message that is still in a queue).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared.contracts.base import Message
from shared.contracts.registry import MESSAGES

FOLDER = Path(__file__).with_name("schemas")
SAMPLES = Path(__file__).with_name("samples")

#: What only a reader cares about: a change of these changes no message.
_WORDS = frozenset({"description", "title"})
#: Keywords whose keys are names that we chose, so that none of them is a keyword.
_NAMES = frozenset({"properties", "$defs"})


class StrictSchema(GenerateJsonSchema):
    """JSON Schema has no word for these two constraints, and losing one must not go unnoticed."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return super().int_schema(schema) | ({"x-strict": True} if schema.get("strict") else {})

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        zone = schema.get("tz_constraint")
        return super().datetime_schema(schema) | ({"x-time-zone": zone} if zone is not None else {})


def schema_of(model: type[Message]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one model, as readers see it, with the kind of exchange it travels by."""
    schema = model.model_json_schema(mode="validation", schema_generator=StrictSchema)
    return schema | {"$id": f"urn:boxoffice:{model.TYPE}", "x-exchange": "commands" if model.COMMAND else "events"}


def render(schema: Mapping[str, Any]) -> bytes:
    """One schema as it stands in its file: sorted, so that a difference is a change."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def path_of(message_type: str, folder: Path = FOLDER) -> Path:
    """Where the committed schema of a wire type lives."""
    return folder / f"{message_type}.json"


def fullest_sample(model: type[Message]) -> dict[str, Any]:
    """The event, among all samples of a message, that says the most: an example for a document."""
    samples = [
        event for path in sorted((SAMPLES / model.TYPE).glob("*.json")) for event in orjson.loads(path.read_bytes())
    ]
    fullest: dict[str, Any] = max(samples, key=lambda event: len(orjson.dumps(event["data"])))
    return fullest


def differing(models: Iterable[type[Message]], folder: Path = FOLDER) -> list[str]:
    """The wire types whose model is not what its committed schema says, or that have no schema."""
    return [model.TYPE for model in models if _committed(model, folder) != render(schema_of(model))]


def orphans(models: Iterable[type[Message]], folder: Path = FOLDER) -> list[str]:
    """Committed schemas that no model answers for: a message type is never taken away."""
    known = {model.TYPE for model in models}
    return sorted(path.stem for path in folder.glob("*.json") if path.stem not in known)


def needs_new_version(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why ``new`` is not the same version as ``old``; empty when only optional fields were added."""
    return list(_breaks(old, new, where="", are_names=False))


def _breaks(old: Any, new: Any, *, where: str, are_names: bool) -> Iterator[str]:
    """``are_names``: the keys here are names of fields or of parts, not keywords of JSON Schema."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _breaks_inside(old, new, where=where, are_names=are_names)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        # As in anyOf: what only a reader cares about is told in there as well.
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _breaks(one, other, where=f"{where}/{index}", are_names=False)
    elif old != new:
        yield f"{where}: was {old!r}, is {new!r}"


def _breaks_inside(old: Mapping[str, Any], new: Mapping[str, Any], *, where: str, are_names: bool) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        inside = f"{where}/{key}"
        if key in _WORDS and not are_names:
            continue
        if key == "required" and not are_names:
            if set(old.get(key, ())) != set(new.get(key, ())):
                yield f"{inside}: another set of required fields"
        elif key not in new:
            yield f"{inside}: taken away"
        elif key in old:
            yield from _breaks(old[key], new[key], where=inside, are_names=key in _NAMES and not are_names)
        elif not are_names and key not in _NAMES:
            yield f"{inside}: added"


def write(models: Iterable[type[Message]], folder: Path = FOLDER) -> list[str]:
    """Write the schemas of ``models``; returns why it wrote nothing, where a change needs a new version."""
    models = tuple(models)
    refusals = [
        f"{model.TYPE}{why}"
        for model in models
        if (committed := _committed(model, folder)) is not None
        for why in needs_new_version(orjson.loads(committed), schema_of(model))
    ]
    if not refusals:
        folder.mkdir(exist_ok=True)
        for model in models:
            path_of(model.TYPE, folder).write_bytes(render(schema_of(model)))
    return refusals


def _committed(model: type[Message], folder: Path) -> bytes | None:
    path = path_of(model.TYPE, folder)
    return path.read_bytes() if path.exists() else None


def main(
    arguments: list[str], models: Iterable[type[Message]] = tuple(MESSAGES.values()), folder: Path = FOLDER
) -> int:
    """The command line: ``--check`` or ``--write``; returns the exit code."""
    models = tuple(models)
    if arguments == ["--write"]:
        complaints = [f"{why} (declare a new version beside it)" for why in write(models, folder)]
    elif arguments == ["--check"]:
        complaints = [
            f"{name}: differs from its committed schema; see make schemas" for name in differing(models, folder)
        ]
    else:
        complaints = ["usage: python -m shared.contracts.schemas --check | --write"]
    if arguments in (["--write"], ["--check"]):
        gone = orphans(models, folder)
        complaints += [f"{name}: has a schema and no model; a message type is never taken away" for name in gone]
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
