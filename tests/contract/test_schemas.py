"""The schemas are the models, and the guard over them really stops a change that would break a reader."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.base import Message, Part, SoldEvent
from shared.contracts.inventory import StockReservedV1, TierChangedV1
from shared.contracts.registry import MESSAGES
from shared.contracts.schemas import (
    FOLDER,
    differing,
    main,
    needs_new_version,
    orphans,
    path_of,
    render,
    schema_of,
    write,
)
from tests.contract.changed_models import (
    breaking_changes,
    fields_of,
    parts_of,
    rebuilt,
    with_optional_field,
    with_part,
)

MODELS = tuple(MESSAGES.values())
BY_TYPE = [pytest.param(model, id=model.TYPE) for model in MODELS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The committed schemas, in a folder that a test may change."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas"))


def every_change(model: type[Message]) -> Iterator[tuple[str, type[Message]]]:
    """Each change of one field of the message, and of each value inside it."""
    yield from breaking_changes(model)
    for part in parts_of(model):
        for what, changed in breaking_changes(part):
            yield f"{part.__name__}.{what}", with_part(model, part, changed)


def test_committed_schemas_are_the_models() -> None:
    assert differing(MODELS) == []
    assert orphans(MODELS) == []


@pytest.mark.parametrize("model", BY_TYPE)
def test_a_model_built_again_unchanged_passes_the_check(model: type[Message]) -> None:
    """Otherwise the tests below would see a difference that is not the change they made."""
    assert render(schema_of(rebuilt(model, fields_of(model)))) == render(schema_of(model))
    for part in parts_of(model):
        same = rebuilt(part, fields_of(part))
        assert render(schema_of(with_part(model, part, same))) == render(schema_of(model))


@pytest.mark.parametrize("model", BY_TYPE)
def test_any_changed_field_fails_the_check_and_is_not_written(model: type[Message], folder: Path) -> None:
    committed = path_of(model.TYPE, folder).read_bytes()
    changes = list(every_change(model))
    assert len(changes) >= 4 * len(model.model_fields)
    for what, changed in changes:
        assert differing([changed], folder) == [model.TYPE], what
        refusals = write([changed], folder)
        assert refusals, what
        assert all(refusal.startswith(f"{model.TYPE}/") for refusal in refusals), what
        assert path_of(model.TYPE, folder).read_bytes() == committed, what


@pytest.mark.parametrize("model", BY_TYPE)
def test_every_model_has_each_kind_of_change_among_those_tested(model: type[Message]) -> None:
    kinds = {what.split(" ", 1)[1] for what, _ in breaking_changes(model)}
    assert kinds >= {"removed", "renamed", "of another type", "with other limits", "required field added"}
    has_optional = any(not info.is_required() for _, info in fields_of(model).values())
    assert ("made required" in kinds) == has_optional


@pytest.mark.parametrize("model", BY_TYPE)
def test_an_added_optional_field_is_written_as_the_same_version(model: type[Message], folder: Path) -> None:
    changed = with_optional_field(model)
    assert differing([changed], folder) == [model.TYPE]
    assert write([changed], folder) == []
    assert differing([changed], folder) == []
    # And it is a promise from then on: taking it away again is refused.
    assert write([model], folder)


@pytest.mark.parametrize(("model", "part"), [(StockReservedV1, SoldEvent), (TierChangedV1, SoldEvent)])
def test_an_added_optional_field_inside_a_part_is_the_same_version(
    model: type[Message], part: type[Part], folder: Path
) -> None:
    changed = with_part(model, part, with_optional_field(part))
    assert differing([changed], folder) == [model.TYPE]
    assert write([changed], folder) == []


def test_a_field_named_like_a_word_of_json_schema_is_guarded_too(folder: Path) -> None:
    """``title`` describes a schema, and is a field of an event."""
    event = {name: field for name, field in fields_of(SoldEvent).items() if name != "title"}
    changed = with_part(StockReservedV1, SoldEvent, rebuilt(SoldEvent, event | {"title": (bool, event["venue"][1])}))
    assert any("/SoldEvent/properties/title" in refusal for refusal in write([changed], folder))


def test_a_field_may_be_described_and_its_limits_may_not_change() -> None:
    def schema(**more: Any) -> dict[str, Any]:
        return {"properties": {"note": {"anyOf": [{"type": "string", **more}, {"type": "null"}]}}}

    assert needs_new_version(schema(), schema(description="Said by the buyer.")) == []
    assert needs_new_version(schema(maxLength=5), schema(maxLength=6))
    assert needs_new_version(schema(), schema(maxLength=6))


@pytest.mark.parametrize("model", BY_TYPE)
def test_another_exchange_needs_a_new_version(model: type[Message], folder: Path) -> None:
    changed = rebuilt(model, fields_of(model))
    changed.COMMAND = not model.COMMAND
    assert differing([changed], folder) == [model.TYPE]
    assert write([changed], folder)


@pytest.mark.parametrize("model", BY_TYPE)
def test_a_message_type_cannot_be_taken_away_or_renamed(
    model: type[Message], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [one for one in MODELS if one is not model]
    assert orphans(left, folder) == [model.TYPE]
    for command in ("--check", "--write"):
        assert main([command], left, folder) == 1
        assert f"{model.TYPE}: has a schema and no model" in capsys.readouterr().err


def test_a_model_without_a_schema_fails_the_check(folder: Path) -> None:
    path_of(StockReservedV1.TYPE, folder).unlink()
    assert differing(MODELS, folder) == [StockReservedV1.TYPE]


def test_commands_name_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], MODELS, folder) == 0
    assert capsys.readouterr().err == ""
    changed = with_optional_field(StockReservedV1)
    assert main(["--check"], [changed if one is StockReservedV1 else one for one in MODELS], folder) == 1
    assert "stock.reserved.v1: differs from its committed schema; see make schemas" in capsys.readouterr().err
    assert main([], MODELS, folder) == 1
    assert "usage" in capsys.readouterr().err
