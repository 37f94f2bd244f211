"""Find a RabbitMQ installation and the Erlang it runs on."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.local.errors import EngineMissingError
from deploy.local.handshake import OLDEST
from deploy.local.rabbitmq import RabbitBinaries

ERLANG_SECONDS = 20
ERLANG_PROGRAMS = ("erl", "/opt/homebrew/bin/erl", "/usr/local/bin/erl")


def find_on_machine() -> RabbitBinaries:
    """The newest RabbitMQ installed here, with its Erlang. Raises EngineMissingError with the reason."""
    found = [(version, home) for home in _candidate_homes() if (version := read_version(home))]
    if not found:
        raise EngineMissingError("no RabbitMQ server is installed here")
    version, home = max(found, key=lambda pair: _numbers(pair[0]))
    if not is_suitable(version):
        raise EngineMissingError(f"RabbitMQ {version} in {home} is older than {OLDEST[0]}.{OLDEST[1]}")
    return RabbitBinaries(home, _find_erlang(), version)


def read_version(home: Path) -> str:
    """The version of the installation in this folder; empty if there is none."""
    for plugin in (home / "plugins").glob("rabbit-[0-9]*"):
        match = re.fullmatch(r"rabbit-(\d+\.\d+\.\d+\S*?)(\.ez)?", plugin.name)
        if match:
            return match.group(1)
    return ""


def is_suitable(version: str) -> bool:
    """Whether RabbitMQ of this version will do."""
    return _numbers(version) >= OLDEST


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _candidate_homes() -> Iterator[Path]:
    yield from Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
    yield from Path("/usr/lib64/rabbitmq/lib").glob("rabbitmq_server-*")
    for folder in ("/usr/lib/rabbitmq", "/opt/homebrew/opt/rabbitmq", "/usr/local/opt/rabbitmq", "/opt/rabbitmq"):
        yield Path(folder)
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        yield Path(on_path).resolve().parent.parent


def _find_erlang() -> Path:
    erl = next((found for name in ERLANG_PROGRAMS if (found := shutil.which(name))), None)
    if erl is None:
        raise EngineMissingError("RabbitMQ is installed here, but Erlang (`erl`) is not on the path")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed question to the Erlang on the path
            [erl, "-noshell", "-eval", 'io:format("~ts", [code:root_dir()]), halt().'],
            capture_output=True,
            text=True,
            timeout=ERLANG_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineMissingError(f"Erlang ({erl}) does not run: {error}") from error
    return Path(done.stdout.strip())
