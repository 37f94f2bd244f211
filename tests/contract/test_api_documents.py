"""The OpenAPI documents: whole, valid by the standard's own validator, with examples that hold, and as committed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import hdrs, web
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from boxoffice.api_documents import FOLDER, build_server, differing, documents, main, write
from shared.contracts.registry import SERVICES, ServiceName
from shared.http.openapi import make_document
from shared.http.routes import Answer, Operation, Parameter, gives, refuses, route, shows
from tests.answers import operations


@pytest.fixture(scope="module")
def apis() -> Mapping[str, Any]:
    """Every document by its service, as a reader gets it."""
    made = documents()
    return {service: orjson.loads(made[f"{service}.openapi.json"]) for service in SERVICES}


def contents(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each body an operation takes or gives: where, its content type, and what is said of it."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", kind, content
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            yield status, kind, content


def faults(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> list[str]:
    """Why a value is not what a schema of this document says."""
    whole = {**schema, "components": document["components"]}
    checker = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}"[:300] for error in checker.iter_errors(value)]


def registered(app: web.Application) -> set[str]:
    """What a server really answers. A HEAD that comes with a GET is not told apart."""
    return {
        f"{one.method} {one.resource.canonical}"
        for one in app.router.routes()
        if one.resource is not None and one.method != hdrs.METH_HEAD
    }


def missing_and_extra(app: web.Application, document: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Routes without documentation, and documentation without routes."""
    answered, described = registered(app), {name for name, _ in operations(document)}
    return answered - described, described - answered


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_is_in_the_document_and_nothing_else(service: ServiceName) -> None:
    server = build_server(service)
    assert missing_and_extra(server.app, server.documents.document()) == (set(), set())


def test_a_route_beside_the_declared_ones_is_noticed() -> None:
    server = build_server("orders")
    server.app.router.add_post("/v1/secret", _nothing)
    assert missing_and_extra(server.app, server.documents.document()) == ({"POST /v1/secret"}, set())


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_is_openapi_3_1(service: ServiceName, apis: Mapping[str, Any]) -> None:
    assert apis[service]["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(apis[service]).validate()


def test_the_validator_refuses_what_is_no_openapi(apis: Mapping[str, Any]) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"info": {}},
        {"paths": {"events": {}}},
        {"paths": {"/a": {"get": {"responses": {"200": {}}}}}},
    )
    for change in changes:
        assert list(OpenAPIV31SpecValidator({**apis["orders"], **change}).iter_errors()), change


@pytest.mark.parametrize("service", SERVICES)
def test_every_body_has_examples_and_they_are_what_its_schema_says(
    service: ServiceName, apis: Mapping[str, Any]
) -> None:
    document, seen = apis[service], 0
    for name, operation in operations(document):
        for where, kind, content in contents(operation):
            examples = [content["example"]] if "example" in content else []
            examples += [one["value"] for one in content.get("examples", {}).values()]
            assert examples or not ("json" in kind or where == "body"), f"{name} {where} {kind}"
            for example in examples:
                assert faults(document, content["schema"], example) == [], f"{name} {where} {kind}"
                seen += 1
        for one in operation.get("parameters", ()):
            assert faults(document, one["schema"], one["example"]) == [], f"{name} {one['name']}"
    assert seen >= len(document["paths"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_says_what_it_is_for(service: ServiceName, apis: Mapping[str, Any]) -> None:
    for name, operation in operations(apis[service]):
        assert operation["summary"], name
        assert operation["tags"], name
        assert "500" not in operation["responses"], f"{name}: a fault of ours is promised nowhere"
        for status, response in operation["responses"].items():
            assert response["description"], f"{name} {status}"
            if int(status) >= 400 and "application/json" in str(response.get("content")):
                pytest.fail(f"{name} {status}: an error that is no problem document")


def schemas_within(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all inside it."""
    if isinstance(schema, dict):
        yield schema
        for inside in schema.values():
            yield from schemas_within(inside)
    elif isinstance(schema, list):
        for inside in schema:
            yield from schemas_within(inside)


@pytest.mark.parametrize("service", SERVICES)
def test_money_is_described_in_kobo(service: ServiceName, apis: Mapping[str, Any]) -> None:
    for schema in schemas_within(apis[service]["components"]["schemas"]):
        for name, field in schema.get("properties", {}).items() if isinstance(schema.get("properties"), dict) else ():
            if name.endswith("_kobo"):
                assert "kobo (1/100 naira)" in str(field), name


def test_what_a_client_writes_has_limits(apis: Mapping[str, Any]) -> None:
    """A text has a greatest length or a form, a number its least and most, a list its most."""
    bodies = 0
    for service, document in apis.items():
        for name, operation in operations(document):
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None:
                continue
            bodies += 1
            for schema in _reachable(document, body["schema"]):
                limits = {
                    "string": {"maxLength", "pattern", "format", "enum", "const"},
                    "integer": {"maximum"},
                    "array": {"maxItems"},
                }.get(str(schema.get("type")))
                assert limits is None or limits & schema.keys(), f"{service} {name}: {schema}"
    assert bodies >= 5


def _reachable(document: Mapping[str, Any], schema: Any, known: frozenset[str] = frozenset()) -> Iterator[Any]:
    for one in schemas_within(schema):
        yield one
        reference = one.get("$ref")
        if isinstance(reference, str) and reference not in known:
            found = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
            yield from _reachable(document, found, known | {reference})


def test_the_committed_documents_are_what_the_code_says() -> None:
    assert differing(documents(), FOLDER) == []


def test_another_document_is_noticed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"orders.openapi.json": b"{}", "more.openapi.json": b"{}"}, tmp_path)
    assert main(["--check"], tmp_path) == 1
    assert "docs/api/orders.openapi.json is not what the code says; see make schemas" in capsys.readouterr().err
    assert main(["--write"], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert main([], tmp_path) == 1


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()


def test_what_follows_from_a_declaration_is_in_the_document() -> None:
    operation = Operation(
        "Do it",
        (gives(200, dict[str, int], "Done.", example={"a": 1}), refuses(422, "Not that.", "not_that")),
        body=dict[str, int],
        body_example={"a": 1},
        roles=("gate",),
        parameters=(Parameter("how", "query", "How.", int, 1),),
    )
    document = make_document("x", "About x.", [route("POST", "/do/{thing_id}", _nothing, operation)])
    made = document["paths"]["/do/{thing_id}"]["post"]
    assert set(made["responses"]) == {"200", "400", "401", "403", "413", "415", "422", "503"}
    assert [one["name"] for one in made["parameters"]] == ["thing_id", "how"]
    assert made["security"] == [{"role_token": ["gate"]}]
    problem = made["responses"]["422"]["content"]["application/problem+json"]
    assert set(problem["examples"]) == {"not_that", "invalid"}
    assert faults(document, problem["schema"], problem["examples"]["invalid"]["value"]) == []
    wrong = {**problem["examples"]["invalid"]["value"], "code": "other"}
    assert faults(document, problem["schema"], wrong)


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ([route("GET", "/a", _nothing, Operation("A", (gives(200, dict[str, int], "A."),)))], "shows no example"),
        ([route("GET", "/a", _nothing, Operation("A", (shows(200, "A."),)))] * 2, "declared twice"),
        (
            [route("GET", path, _nothing, Operation("A", (shows(200, "A."),))) for path in ("/a", "/b")],
            "operations of one name",
        ),
        ([route("GET", "/a/{b}", _nothing, Operation("A", (shows(200, "A."),)))], "described nowhere"),
    ],
)
def test_an_incomplete_declaration_is_refused(routes: list[Any], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        make_document("x", "About x.", routes)


def test_a_problem_needs_a_code() -> None:
    with pytest.raises(AssertionError):
        refuses(409, "Why ever.")
    assert Answer(409, "x").codes == ()
