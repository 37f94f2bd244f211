"""Models that differ from a shipped one by a single change, as an engineer would make it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

from pydantic import UUID4, AwareDatetime, Field, create_model
from pydantic.fields import FieldInfo

from shared.contracts.base import Message, Part

P = TypeVar("P", bound=Part)
#: Fields by name, each as ``create_model`` takes it: its type, and everything else.
Fields = dict[str, tuple[Any, FieldInfo]]


def fields_of(model: type[Part]) -> Fields:
    """All fields of a message or of a value inside one, inherited ones too."""
    return {name: (info.annotation, info) for name, info in model.model_fields.items()}


def rebuilt(model: type[P], fields: Fields) -> type[P]:
    """The same model with these fields instead of its own."""
    base = Message if issubclass(model, Message) else Part
    keywords = cast("dict[str, Any]", fields)
    changed = cast("Any", create_model(model.__name__, __base__=base, __doc__=model.__doc__, **keywords))
    if issubclass(model, Message):
        changed.TYPE, changed.COMMAND = model.TYPE, model.COMMAND
    return cast("type[P]", changed)


def breaking_changes(model: type[P]) -> Iterator[tuple[str, type[P]]]:
    """The model with each change of one field that needs a new version, and a name for each."""
    for name, (annotation, info) in fields_of(model).items():
        others = {other: field for other, field in fields_of(model).items() if other != name}
        whole = _whole(annotation, info)
        yield f"{name} removed", rebuilt(model, others)
        yield f"{name} renamed", rebuilt(model, others | {f"{name}_now": (annotation, info)})
        yield f"{name} of another type", rebuilt(model, others | {name: (float, _same_need(info))})
        if info.is_required():
            yield f"{name} made optional", rebuilt(model, others | {name: (whole | None, _field(default=None))})
        else:
            yield f"{name} made required", rebuilt(model, others | {name: (whole, _field())})
        if _has_limits(whole):
            yield f"{name} with other limits", rebuilt(model, others | {name: (loosened(whole), _same_need(info))})
    yield "a required field added", rebuilt(model, fields_of(model) | {"added": (int, _field())})


def with_optional_field(model: type[P]) -> type[P]:
    """The one change that is still the same version."""
    return rebuilt(model, fields_of(model) | {"added": (str | None, _field(default=None))})


def parts_of(model: type[Part]) -> list[type[Part]]:
    """The values that stand in a model's fields, each once."""
    found = [part for annotation, _ in fields_of(model).values() for part in _parts_in(annotation)]
    return list(dict.fromkeys(found))


def with_part(model: type[P], part: type[Part], changed: type[Part]) -> type[P]:
    """The same model, with ``changed`` wherever ``part`` stood."""
    fields = fields_of(model)
    return rebuilt(model, {name: (_replaced(kind, part, changed), info) for name, (kind, info) in fields.items()})


def loosened(annotation: Any) -> Any:
    """The same type without the limits on its values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return loosened(arguments[0])
    if origin is Literal:
        return Literal[(*arguments, "another")]
    if annotation is AwareDatetime:
        return datetime
    if annotation is UUID:
        return UUID4
    if _is_part(annotation):
        fields = {
            name: (loosened(_whole(*field)), _same_need(field[1])) for name, field in fields_of(annotation).items()
        }
        return rebuilt(annotation, fields)
    return _with_arguments(annotation, loosened)


def _has_limits(annotation: Any) -> bool:
    # A plain text or a yes or no has nothing to take away.
    return annotation not in {bool, bool | None, str, str | None}


def _replaced(annotation: Any, part: type[Part], changed: type[Part]) -> Any:
    if annotation is part:
        return changed
    if get_origin(annotation) is Annotated:
        first, *limits = get_args(annotation)
        return Annotated[(_replaced(first, part, changed), *limits)]
    return _with_arguments(annotation, lambda argument: _replaced(argument, part, changed))


def _with_arguments(annotation: Any, change: Callable[[Any], Any]) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return Union[tuple(change(argument) for argument in arguments)]  # noqa: UP007 - known at run time only
    if origin is tuple:
        kinds: Any = tuple(argument if argument is Ellipsis else change(argument) for argument in arguments)
        return tuple.__class_getitem__(kinds)
    return annotation


def _parts_in(annotation: Any) -> Iterator[type[Part]]:
    if _is_part(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts_in(argument)


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Part)


def _whole(annotation: Any, info: FieldInfo) -> Any:
    """The type with its limits, which pydantic keeps apart."""
    return Annotated[(annotation, *info.metadata)] if info.metadata else annotation


def _same_need(info: FieldInfo) -> FieldInfo:
    return _field() if info.is_required() else _field(default=info.default)


def _field(**keywords: Any) -> FieldInfo:
    field: FieldInfo = Field(**keywords)
    return field
