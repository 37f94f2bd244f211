"""The committed documents of all interfaces, under `docs/api/`: written, and compared with what the code says.

`python -m boxoffice.api_documents --check` exits 1 and names each document that differs; `--write` writes them again.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boxoffice import messages_page
from deploy.local.plan import Secrets, Wiring, service_environment
from shared.contracts.registry import SERVICES, ServiceName
from shared.http.openapi import render
from shared.http.server import HttpServer
from shared.messaging import asyncapi

FOLDER = Path(__file__).parents[1] / "docs" / "api"

#: Enough to build a service that is never started; nothing of it stands in a document.
_SECRETS = Secrets(
    token_keys="k1:0123456789abcdef0123456789abcdef",  # noqa: S106
    service_token="service-0123456789abcdef",  # noqa: S106
    organiser_token="organiser-0123456789abcdef",  # noqa: S106
    operator_token="operator-0123456789abcdef",  # noqa: S106
    gate_token="gate-0123456789abcdef",  # noqa: S106
    supervisor_token="supervisor-0123456789abcdef",  # noqa: S106
    ticketing_master_keys=f"m1:{'11' * 32}",
    ticketing_signing_keys=f"s1:{'22' * 32}",
)


def build(service: ServiceName, secrets: Secrets = _SECRETS, **settings: Any) -> Any:
    """A service with the shipped settings or some others, and no engine behind it. Nothing is opened or called."""
    url = f"postgresql://nobody@127.0.0.1:1/{service}"
    wiring = Wiring("amqp://nobody@127.0.0.1:1/", {} if service == "gateway" else {service: url}, secrets)
    prefix = f"{service.upper()}_"
    environment = service_environment(service, 0, wiring)
    own = {name[len(prefix) :].lower(): text for name, text in environment.items() if name.startswith(prefix)}
    settings_class: Any = getattr(importlib.import_module(f"services.{service}.settings"), f"{service.title()}Settings")
    return importlib.import_module(f"services.{service}.service").build(settings_class(**own | settings))


def build_server(service: ServiceName, **settings: Any) -> HttpServer:
    """The HTTP server of such a service."""
    server: HttpServer = build(service, **settings).http
    return server


def documents() -> dict[str, bytes]:
    """Every document by the name of its file."""
    messages = asyncapi.make_document()
    return {
        **{f"{service}.openapi.json": render(build_server(service).documents.document()) for service in SERVICES},
        "asyncapi.json": render(messages),
        "messages.md": messages_page.render(messages).encode(),
    }


def differing(wanted: Mapping[str, bytes], folder: Path = FOLDER) -> list[str]:
    """Files that are not what they should be, or should not be there."""
    there = {path.name: path.read_bytes() for path in _made(folder)}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write(wanted: Mapping[str, bytes], folder: Path = FOLDER) -> None:
    """Write every document, and take away what is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in _made(folder):
        if path.name not in wanted:
            path.unlink()
    for name, body in wanted.items():
        (folder / name).write_bytes(body)


def _made(folder: Path) -> list[Path]:
    """What is there and made by this; the README beside it is not."""
    return sorted(path for path in folder.glob("*") if path.suffix == ".json" or path.name == "messages.md")


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """The command line; returns the exit code."""
    if arguments == ["--write"]:
        write(documents(), folder)
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m boxoffice.api_documents --check | --write\n")
        return 1
    wrong = differing(documents(), folder)
    sys.stderr.writelines(f"docs/api/{name} is not what the code says; see make schemas\n" for name in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
