"""What a document tells a reader to type exists: commands with their options, ports, addresses, routes."""

import functools
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer.main

from boxoffice.cli import app, register_commands
from deploy.catcher.app import make_app as make_catcher
from deploy.catcher.mailbox import Mailbox
from deploy.catcher.refusals import Refusals
from deploy.local.plan import PORTS
from deploy.sandbox.app import make_app as make_sandbox
from deploy.sandbox.settings import Settings as SandboxSettings
from shared.contracts.registry import SERVICES
from tests.contract.test_documents import DOCUMENTS, ROOT

#: Made from the commands' own help, with its placeholders; and followed to the letter by a test of its own.
CHECKED_OTHERWISE = {ROOT / "docs" / "commands.md", ROOT / "docs" / "walkthroughs.md"}
BY_DOCUMENT = [
    pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS if path not in CHECKED_OTHERWISE
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
#: What ends one command of a line and begins another.
_BETWEEN = re.compile(r"&&|\|\||;| \| |\$\(|\)$")
_ADDRESS = re.compile(r"\b(?:127\.0\.0\.1|localhost):(\d{2,5})((?:/[^\s`\"'<>|)]*)?)")
_PORT = re.compile(r"\b[Pp]ort (\d{4,5})\b")
_ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`\"'|)]*)")
#: An address that a line of shell keeps in a variable: `$GATE/v1/gate/sync`.
_BEHIND_VARIABLE = re.compile(r"\$[A-Za-z_]+(/v\d/[^\s`\"'|)\\]*)")


def lines(text: str) -> Iterator[str]:
    """Everything a reader may type: lines of shell in code blocks, and code between backticks."""
    for language, block in _FENCE.findall(text):
        if language in {"", "sh", "console"}:
            yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    for span in _SPAN.findall(_FENCE.sub("", text)):
        yield " ".join(span.split())


def said(text: str) -> Iterator[list[str]]:
    """Each command as its words, without what is set before it and the remark behind it."""
    for line in lines(text):
        for part in _BETWEEN.split(re.sub(r"(^|\s)#.*", "", line)):
            try:
                words = shlex.split(part)
            except ValueError:
                continue
            while words and (words[0] == "$" or re.match(r"[A-Z_]+=", words[0])):
                words.pop(0)
            if words:
                yield words


def command_faults(text: str) -> list[str]:
    """Commands that do not exist, or do not take what they are given."""
    return [fault for words in said(text) for fault in _faults(words)]


def _faults(words: list[str]) -> Iterator[str]:
    program, rest = words[0], words[1:]
    if program == "make":
        yield from (
            f"make {one}" for one in rest if re.fullmatch(r"[a-z-]+", one) and one[0] != "-" and one not in TARGETS
        )
    elif program in {"boxoffice", ".venv/bin/boxoffice"}:
        yield from boxoffice_faults(rest)
    elif re.fullmatch(r"(\.venv/bin/)?python3?", program) and rest[:1] == ["-m"] and len(rest) > 1:
        yield from _module_faults(rest[1], rest[2:])
    elif program.startswith(".venv/bin/") and not Path(sys.executable).with_name(program[10:]).exists():
        yield f"{program} does not exist"
    elif _is_boxoffice(words):
        yield from boxoffice_faults(words)


def _module_faults(module: str, rest: list[str]) -> Iterator[str]:
    if module == "boxoffice":
        yield from boxoffice_faults(rest)
    elif _find(module) is None:
        yield f"there is no module {module}"
    elif module == "pytest":
        paths = [one.split("::")[0] for one in rest if one.startswith("tests")]
        yield from (f"{path} does not exist" for path in paths if not (ROOT / path).exists())


def _find(module: str) -> object:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


@functools.cache
def _root() -> Any:
    register_commands()
    return typer.main.get_command(app)


def _is_boxoffice(words: list[str]) -> bool:
    """`dead replay ID` and `up --detach`, where the document speaks of `boxoffice` anyway. One word may be anything."""
    command = _root().commands.get(words[0])
    if command is None or len(words) == 1:
        return False
    return hasattr(command, "commands") or words[1].startswith("--")


def boxoffice_faults(words: list[str]) -> Iterator[str]:
    """What is wrong with the words behind `boxoffice`. `list|show` means each of them."""
    for position, word in enumerate(words):
        if "|" in word:
            for one in word.split("|"):
                yield from boxoffice_faults([*words[:position], one, *words[position + 1 :]])
            return
    command, name, words = _root(), "boxoffice", list(words)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        word = words.pop(0)
        if re.fullmatch(r"[A-Z_]+|\.\.\.|\[.*\]", word):
            return
        if word not in command.commands:
            yield f"{name} has no command {word}"
            return
        command, name = command.commands[word], f"{name} {word}"
    yield from _argument_faults(command, name, words)


def _argument_faults(command: Any, name: str, words: list[str]) -> Iterator[str]:
    options = {spelled: one for one in command.params for spelled in (*one.opts, *one.secondary_opts)}
    places = [one for one in command.params if one.param_type_name == "argument"]
    given = 0
    while words:
        word, _, value = words.pop(0).partition("=")
        if not word.startswith("-"):
            given += 1
        elif word != "--help" and word not in options:
            yield f"{name} has no option {word}"
        elif word in options and not value and not options[word].is_flag and words:
            words.pop(0)
    if given > len(places) and not any(one.nargs == -1 for one in places):
        yield f"{name} takes {len(places)} arguments, not {given}"


@pytest.fixture(scope="module")
def routes() -> dict[str, set[tuple[str, str]]]:
    """Method and path of everything that is answered, by who answers."""
    found = {}
    for service in SERVICES:
        document = orjson.loads((ROOT / "docs" / "api" / f"{service}.openapi.json").read_bytes())
        found[str(service)] = {(method.upper(), path) for path, one in document["paths"].items() for method in one}
    helpers = {
        "sandbox": make_sandbox(SandboxSettings(), "http://127.0.0.1:1"),
        "catcher": make_catcher(Mailbox("", max_messages=1, max_bytes=1024), Refusals()),
    }
    for name, helper in helpers.items():
        found[name] = {
            (one.method, one.resource.canonical) for one in helper.router.routes() if one.resource is not None
        }
    return found


Routes = dict[str, set[tuple[str, str]]]


def answered(method: str, path: str, known: set[tuple[str, str]]) -> bool:
    """Whether one of the routes takes this. An id may stand for any part of a path; three dots for what is left out."""
    wanted = re.sub(r"\?.*|[.,;:]+$", "", path)
    parts = [re.sub(r"\$\w+|\$\(\w+\)|\{\w+\}|:\w+", "{}", part) for part in wanted.rstrip("/").split("/")]
    return any(method in {one, ""} and _fits(parts, template.rstrip("/").split("/")) for one, template in known)


def _fits(parts: list[str], template: list[str]) -> bool:
    return len(parts) == len(template) and all(
        part == own or own.startswith("{") for part, own in zip(parts, template, strict=True)
    )


def address_faults(text: str, routes: Routes) -> list[str]:
    """Ports that nothing of ours has, and paths that nobody answers."""
    names = {str(port): name for name, port in PORTS.items()}
    found = [f"nothing has port {port}" for port in _PORT.findall(text) if port not in names]
    for port, path in _ADDRESS.findall(text):
        if port not in names:
            found.append(f"nothing has port {port}")
        elif path.strip("/.,;:*") and not answered("", path, routes.get(names[port], set())):
            found.append(f"{names[port]} does not answer {path}")
    every = set().union(*routes.values())
    found += [
        f"nobody answers {method} {path}" for method, path in _ROUTE.findall(text) if not answered(method, path, every)
    ]
    found += [f"nobody answers {path}" for path in _BEHIND_VARIABLE.findall(text) if not answered("", path, every)]
    return found


@pytest.mark.parametrize("path", BY_DOCUMENT)
def test_commands_exist_and_take_what_they_are_given(path: Path) -> None:
    assert command_faults(path.read_text()) == []


@pytest.mark.parametrize("path", BY_DOCUMENT)
def test_ports_and_routes_exist(path: Path, routes: Routes) -> None:
    assert address_faults(path.read_text(), routes) == []


def test_commands_are_found() -> None:
    """Otherwise the tests above would hold for want of anything to look at."""
    words = [words for path in DOCUMENTS for words in said(path.read_text())]
    assert len([one for one in words if one[0] == "make"]) > 15
    assert len([one for one in words if one[0] == "boxoffice"]) > 15
    assert len([one for one in words if one[0].startswith((".venv/bin/", "python"))]) > 3


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("`make runn`", "make runn"),
        ("`boxoffice ded list`", "boxoffice has no command ded"),
        ("`boxoffice dead list|shov`", "boxoffice dead has no command shov"),
        ("`dead reply ID`", "boxoffice dead has no command reply"),
        ("`up --detached`", "boxoffice up has no option --detached"),
        ("```\nA=1 .venv/bin/boxoffice gate admit A B --gate x\n```", "boxoffice gate admit takes 1 arguments, not 2"),
        ("```sh\ncd x && boxoffice status --jason   # looks\n```", "boxoffice status has no option --jason"),
        ("`python -m shared.contracts.schemes --write`", "there is no module shared.contracts.schemes"),
        ("`.venv/bin/python -m boxoffice ledgre`", "boxoffice has no command ledgre"),
        ("`.venv/bin/python -m pytest tests/unit/test_nothing.py`", "tests/unit/test_nothing.py does not exist"),
        ("`.venv/bin/nothing`", ".venv/bin/nothing does not exist"),
    ],
)
def test_a_wrong_command_is_noticed(line: str, fault: str) -> None:
    assert command_faults(f"Try this:\n\n{line}\n") == [fault]


@pytest.mark.parametrize(
    "line",
    [
        "`make run`",
        "`boxoffice dead replay ID --why x`",
        "`boxoffice up --replicas inventory=3`",
        "`boxoffice run SERVICE`",
        "```python\nboxoffice = 1\n```",
    ],
)
def test_a_right_command_is_not(line: str) -> None:
    assert command_faults(line) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http://127.0.0.1:8087", "nothing has port 8087"),
        ("http://localhost:8080/v2/events", "gateway does not answer /v2/events"),
        ("See http://127.0.0.1:8085/v1/events.", "reaper does not answer /v1/events."),
        ("http://127.0.0.1:8091/mesages", "catcher does not answer /mesages"),
        ("The reaper has port 8086, mailer Port 9086.", "nothing has port 9086"),
        ("`POST /v1/order`", "nobody answers POST /v1/order"),
        ("`DELETE /v1/checkout`", "nobody answers DELETE /v1/checkout"),
        ("`curl $GATE/v1/gate/checkin`", "nobody answers /v1/gate/checkin"),
    ],
)
def test_a_wrong_port_or_route_is_noticed(text: str, fault: str, routes: Routes) -> None:
    assert address_faults(text, routes) == [fault]
