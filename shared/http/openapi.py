"""The OpenAPI 3.1 document of a service, made from its routes; pydantic writes the schemas of their models.

It is made when somebody first asks for it: a service starts without it, and most replicas never need it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from shared.http.examples import example_of
from shared.http.problems import CONTENT_TYPE as PROBLEM
from shared.http.problems import ProblemDocument, title_of, type_of
from shared.http.routes import ROLE_TOKEN, Answer, Operation, Parameter, Route, id_in_path

_TEMPLATE = "#/components/schemas/{model}"
_TEXT = (
    "Money is a whole number of kobo (1/100 naira). Times are RFC 3339 with a time zone. Every error is a problem "
    "document (RFC 9457) whose `code` is a stable word; what nobody foresaw is one of status 500 with the code "
    "`internal_error`."
)

Mode = Literal["validation", "serialization"]


class _Schemas:
    """All types of a document: asked for one after the other, described by pydantic in one go."""

    def __init__(self) -> None:
        self._wanted: dict[tuple[str, Mode], tuple[str, Mode, TypeAdapter[Any]]] = {}
        self._placed: list[tuple[dict[str, Any], tuple[str, Mode]]] = []

    def place(self, kind: Any, mode: Mode) -> dict[str, Any]:
        """A schema that ``resolve`` fills in."""
        key = (repr(kind), mode)
        if key not in self._wanted:
            self._wanted[key] = (key[0], mode, TypeAdapter(kind))
        schema: dict[str, Any] = {}
        self._placed.append((schema, key))
        return schema

    def resolve(self) -> dict[str, Any]:
        """Fill in every schema; returns those that have names."""
        by_key, definitions = TypeAdapter.json_schemas(self._wanted.values(), ref_template=_TEMPLATE)
        for schema, key in self._placed:
            schema.update(by_key[key])
        named: dict[str, Any] = definitions.get("$defs", {})
        return dict(sorted(named.items()))


def make_document(name: str, about: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The document of one service. Raises AssertionError for a route that is declared twice or shows no example."""
    schemas = _Schemas()
    schemes: dict[str, Mapping[str, Any]] = {}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        path = re.sub(r"{(\w+):[^}]*}", r"{\1}", route.path)
        method = route.method.lower()
        assert method not in paths[path], f"{route.method} {path} is declared twice"
        paths[path][method] = _operation(route, path, schemas, schemes)
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(ids) == len(set(ids)), f"operations of one name: {sorted(one for one in ids if ids.count(one) > 1)}"
    return {
        "openapi": "3.1.1",
        "info": {"title": f"Boxoffice {name}", "version": "1", "description": f"{about}\n\n{_TEXT}"},
        "servers": [{"url": "/", "description": "This service."}],
        "paths": dict(paths),
        "components": {"schemas": schemas.resolve(), "securitySchemes": schemes},
    }


def _operation(route: Route, path: str, schemas: _Schemas, schemes: dict[str, Mapping[str, Any]]) -> dict[str, Any]:
    operation = route.operation
    made: dict[str, Any] = {"operationId": operation.name or _camel(route.handler.__name__)}
    if operation.tag:
        made["tags"] = [operation.tag]
    made["summary"] = operation.summary
    roles = f"For the roles {', '.join(operation.roles)}." if operation.roles else ""
    if text := "\n\n".join(filter(None, (operation.text, roles))):
        made["description"] = text
    if security := _security(operation, schemes):
        made["security"] = security
    if parameters := [_parameter(one, schemas) for one in _parameters(operation, path)]:
        made["parameters"] = parameters
    if operation.body is not None:
        content = _content(operation.body, "validation", operation.body_example, schemas)
        made["requestBody"] = {"required": operation.body_required, "content": {operation.body_type: content}}
    made["responses"] = _responses(operation.all_answers(), schemas)
    return made


def _camel(handler: str) -> str:
    first, *rest = handler.strip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _security(operation: Operation, schemes: dict[str, Mapping[str, Any]]) -> list[dict[str, list[str]]]:
    """Each entry is enough by itself: one of the roles, or one of the other ways."""
    used = (*operation.schemes, *([ROLE_TOKEN] if operation.roles else []))
    schemes.update({scheme.name: scheme.document for scheme in used})
    by_role: list[dict[str, list[str]]] = [{ROLE_TOKEN.name: [role]} for role in operation.roles]
    by_scheme: list[dict[str, list[str]]] = [{scheme.name: []} for scheme in operation.schemes]
    return [*by_role, *by_scheme]


def _parameters(operation: Operation, path: str) -> Iterable[Parameter]:
    declared = {one.name for one in operation.parameters}
    for name in re.findall(r"{(\w+)}", path):
        if name not in declared:
            assert name.endswith("_id"), f"{path}: {name} is described nowhere"
            yield id_in_path(name, name.removesuffix("_id").replace("_", " "))
    yield from operation.parameters


def _parameter(one: Parameter, schemas: _Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": one.name,
        "in": one.where,
        "required": one.required or one.where == "path",
        "description": one.text,
        "schema": schemas.place(one.type, "validation"),
    }
    return made if one.example is None else made | {"example": one.example}


def _responses(answers: Iterable[Answer], schemas: _Schemas) -> dict[str, Any]:
    by_status: dict[int, dict[str | None, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        by_status[answer.status][answer.content_type].append(answer)
    made: dict[str, Any] = {}
    for status, by_type in sorted(by_status.items()):
        every = [answer for several in by_type.values() for answer in several]
        response: dict[str, Any] = {"description": " ".join(dict.fromkeys(answer.text for answer in every))}
        if headers := _headers(every):
            response["headers"] = headers
        content = {
            kind: _problem(several, schemas) if kind == PROBLEM else _body(several, schemas)
            for kind, several in by_type.items()
            if kind is not None
        }
        if content:
            response["content"] = content
        made[str(status)] = response
    return made


def _headers(answers: Sequence[Answer]) -> dict[str, Any]:
    """Only what all answers of the status have is required."""
    texts = {name: text for answer in answers for name, text in answer.headers.items()}
    return {
        name: {
            "description": text,
            "required": all(name in answer.headers for answer in answers),
            "schema": {"type": "integer", "minimum": 0} if name == "Retry-After" else {"type": "string"},
        }
        for name, text in texts.items()
    }


def _body(answers: Sequence[Answer], schemas: _Schemas) -> dict[str, Any]:
    (answer,) = answers
    return _content(answer.model, "serialization", answer.example, schemas)


def _content(model: Any, mode: Mode, example: Any, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.place(model, mode)}
    if example is None and model is not str:
        example = example_of(model)
        assert example is not None, f"{model} shows no example"
    return content if example is None else content | {"example": _plain(example() if callable(example) else example)}


def _plain(example: Any) -> Any:
    return orjson.loads(orjson.dumps(example, default=lambda one: one.model_dump(mode="json")))


def _problem(answers: Sequence[Answer], schemas: _Schemas) -> dict[str, Any]:
    codes = list(dict.fromkeys(code for answer in answers for code in answer.codes))
    status = answers[0].status
    fixed = {"status": {"const": status}, "code": {"enum": codes}}
    return {
        "schema": {"allOf": [schemas.place(ProblemDocument, "serialization"), {"properties": fixed}]},
        "examples": {
            code: {"value": _problem_example(status, code, answer)} for answer in answers for code in answer.codes
        },
    }


def _problem_example(status: int, code: str, answer: Answer) -> dict[str, Any]:
    return {
        "type": type_of(code),
        "title": title_of(code),
        "status": status,
        "code": code,
        "detail": HTTPStatus(status).description or HTTPStatus(status).phrase,
        **_plain(dict(answer.members)),
    }


def render(document: Mapping[str, Any]) -> bytes:
    """A document as it is served and as it stands in its file."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
