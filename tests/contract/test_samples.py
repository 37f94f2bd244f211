"""Every sample ever shipped is read as it was meant, and written again with the same data."""

from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from shared.contracts.base import Message, Part
from shared.contracts.registry import MESSAGES, PRODUCERS
from shared.contracts.schemas import SAMPLES, path_of
from shared.messaging.cloudevents import CONTENT_TYPE, Event, decode_batch, encode_batches
from shared.messaging.exceptions import UnknownType, Unreadable
from tests.contract.changed_models import parts_of

FILES = sorted(SAMPLES.glob("*/*.json"))
BY_FILE = [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in FILES]
BY_TYPE = [pytest.param(model, id=model.TYPE) for model in MESSAGES.values()]


def read(path: Path) -> tuple[Event[Message], ...]:
    """A sample, as a consumer reads it from the wire."""
    return decode_batch(path.read_bytes(), CONTENT_TYPE, path.parent.name)


def parsed(path: Path) -> list[dict[str, Any]]:
    """A sample's envelopes."""
    return cast("list[dict[str, Any]]", orjson.loads(path.read_bytes()))


@pytest.mark.parametrize("model", BY_TYPE)
def test_every_message_type_has_samples_with_all_its_fields(model: type[Message]) -> None:
    """A field that was added optionally is shown by a new sample beside the old ones."""
    samples = [envelope["data"] for path in FILES if path.parent.name == model.TYPE for envelope in parsed(path)]
    assert samples
    shown = {name for sample in samples for name in sample}
    assert shown >= set(model.model_fields)
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    assert any(set(sample) == required for sample in samples), "no sample has the required fields alone"
    for part in parts_of(model):
        assert {name for name, info in part.model_fields.items() if info.is_required()} <= _keys_inside(samples)


def test_samples_are_numbered_from_one_in_a_folder_for_each_type() -> None:
    assert {path.parent.name for path in FILES} == set(MESSAGES)
    for name in MESSAGES:
        numbers = [int(path.name[:4]) for path in FILES if path.parent.name == name]
        assert numbers == list(range(1, len(numbers) + 1)), name


@pytest.mark.parametrize("path", BY_FILE)
def test_a_sample_is_written_again_with_the_same_data(path: Path) -> None:
    events = read(path)
    ((body, count),) = encode_batches(events)
    assert count == len(events)
    for before, after in zip(parsed(path), orjson.loads(body), strict=True):
        added = {name: after["data"].pop(name) for name in after["data"].keys() - before["data"].keys()}
        assert after == before
        # What a producer left out is written as what readers take it for.
        fields = MESSAGES[path.parent.name].model_fields
        assert added == {name: orjson.loads(orjson.dumps(fields[name].default)) for name in added}
    assert decode_batch(body, CONTENT_TYPE, path.parent.name) == events


@pytest.mark.parametrize("path", BY_FILE)
def test_a_sample_agrees_with_its_json_schema(path: Path) -> None:
    schema = orjson.loads(path_of(path.parent.name).read_bytes())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    for envelope in parsed(path):
        assert list(validator.iter_errors(envelope["data"])) == []


@pytest.mark.parametrize("path", BY_FILE)
def test_a_sample_names_its_producer_and_subject(path: Path) -> None:
    for envelope, event in zip(parsed(path), read(path), strict=True):
        assert envelope["source"] == f"/boxoffice/{PRODUCERS[type(event.data)]}"
        assert envelope["subject"] == str(event.data.subject)


@pytest.mark.parametrize("path", BY_FILE)
def test_unknown_fields_are_ignored_at_every_depth(path: Path) -> None:
    """A newer producer may say more than this reader knows."""
    body = orjson.dumps(_with_more(parsed(path)))
    assert body.count(b'"from_the_future"') > len(parsed(path))
    assert decode_batch(body, CONTENT_TYPE, path.parent.name) == read(path)


@pytest.mark.parametrize("path", BY_FILE)
def test_a_required_field_that_is_missing_is_refused_by_name(path: Path) -> None:
    fields = MESSAGES[path.parent.name].model_fields
    for name in [name for name, info in fields.items() if info.is_required()]:
        envelopes = parsed(path)
        del envelopes[0]["data"][name]
        with pytest.raises(Unreadable, match=rf"event 0, {name}: Field required"):
            decode_batch(orjson.dumps(envelopes), CONTENT_TYPE, path.parent.name)


@pytest.mark.parametrize("message_type", ["order.created.v2", "order.created", "order.created.v01", "", None])
def test_an_unknown_version_is_refused_as_an_unknown_type(message_type: str | None) -> None:
    envelopes = parsed(SAMPLES / "order.created.v1" / "0001-first-release.json")
    body = orjson.dumps([envelope | {"type": message_type} for envelope in envelopes])
    with pytest.raises(UnknownType):
        decode_batch(body, CONTENT_TYPE, message_type)


def test_an_event_of_another_version_inside_a_known_batch_is_refused() -> None:
    envelopes = parsed(SAMPLES / "order.created.v1" / "0001-first-release.json")
    body = orjson.dumps([envelope | {"type": "order.created.v2"} for envelope in envelopes])
    with pytest.raises(Unreadable, match="is not a CloudEvents"):
        decode_batch(body, CONTENT_TYPE, "order.created.v1")


def test_all_values_inside_messages_ignore_unknown_fields() -> None:
    for model in [*MESSAGES.values(), *(part for message in MESSAGES.values() for part in parts_of(message))]:
        assert issubclass(model, Part)
        assert model.model_config["extra"] == "ignore", model


def _keys_inside(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _keys_inside(inner)}
    return {key for inner in value for key in _keys_inside(inner)} if isinstance(value, list) else set()


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_more(inner) for key, inner in value.items()} | {"from_the_future": {"x": [1, None]}}
    return [_with_more(inner) for inner in value] if isinstance(value, list) else value
