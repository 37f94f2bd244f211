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

from shared.contracts.base import Message
from shared.contracts.registry import MESSAGES

FOLDER = Path(__file__).with_name("schemas")
SAMPLES = Path(__file__).with_name("samples")


def schema_of(model: type[Message]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one model, as readers see it."""
    schema = model.model_json_schema(mode="validation")
    schema["$id"] = f"urn:boxoffice:{model.TYPE}"
    return schema


def render(schema: Mapping[str, Any]) -> bytes:
    """One schema as it stands in its file: sorted, so that a difference is a change."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def path_of(message_type: str) -> Path:
    """Where the committed schema of a wire type lives."""
    return FOLDER / f"{message_type}.json"


def differing(models: Iterable[type[Message]]) -> list[str]:
    """The wire types whose model is not what its committed schema says, or that have no schema."""
    return [
        model.TYPE
        for model in models
        if not path_of(model.TYPE).exists() or path_of(model.TYPE).read_bytes() != render(schema_of(model))
    ]


def orphans() -> list[str]:
    """Committed schemas that no model answers for: a message type is never taken away."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if path.stem not in MESSAGES)


def needs_new_version(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why ``new`` is not the same version as ``old``; empty when only optional fields were added."""
    return list(_breaks(old, new, ""))


def _breaks(old: Any, new: Any, where: str) -> Iterator[str]:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new:
            yield f"{where or '/'}: was {old!r}, is {new!r}"
        return
    for key in sorted(old.keys() | new.keys()):
        inside = f"{where}/{key}"
        if key in {"description", "title"}:
            continue
        if key == "required":
            if set(old.get(key, ())) != set(new.get(key, ())):
                yield f"{inside}: another set of required fields"
        elif key not in new:
            yield f"{inside}: taken away"
        elif key in old:
            yield from _breaks(old[key], new[key], inside)
        elif not where.endswith(("/properties", "/$defs")) and inside not in {"/properties", "/$defs"}:
            yield f"{inside}: added"


def write(models: Iterable[type[Message]]) -> list[str]:
    """Write the schemas of ``models``; returns why it wrote nothing, where a change needs a new version."""
    models = tuple(models)
    refusals = [
        f"{model.TYPE}{why}"
        for model in models
        if path_of(model.TYPE).exists()
        for why in needs_new_version(orjson.loads(path_of(model.TYPE).read_bytes()), schema_of(model))
    ]
    if not refusals:
        FOLDER.mkdir(exist_ok=True)
        for model in models:
            path_of(model.TYPE).write_bytes(render(schema_of(model)))
    return refusals


def main(arguments: list[str]) -> int:
    """The command line: ``--check`` or ``--write``; returns the exit code."""
    if arguments == ["--write"]:
        complaints = [f"{why} (declare a new version beside it)" for why in write(MESSAGES.values())]
    elif arguments == ["--check"]:
        complaints = [
            f"{name}: differs from its committed schema; see make schemas" for name in differing(MESSAGES.values())
        ]
        complaints += [f"{name}: has a schema and no model; a message type is never taken away" for name in orphans()]
    else:
        complaints = ["usage: python -m shared.contracts.schemas --check | --write"]
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
