"""Find a RabbitMQ installation and the Erlang it runs on."""

import shutil
import subprocess
from pathlib import Path

from deploy.local.errors import EngineMissingError
from deploy.local.rabbitmq import RabbitBinaries
from deploy.machine.engine_homes import newest_rabbitmq, rabbitmq_suits
from deploy.machine.needs import RABBITMQ_OLDEST

ERLANG_SECONDS = 20
ERLANG_PROGRAMS = ("erl", "/opt/homebrew/bin/erl", "/usr/local/bin/erl")


def find_on_machine() -> RabbitBinaries:
    """The newest RabbitMQ installed here, with its Erlang. Raises EngineMissingError with the reason."""
    found = newest_rabbitmq()
    if found is None:
        raise EngineMissingError("no RabbitMQ server is installed here")
    version, home = found
    if not rabbitmq_suits(version):
        raise EngineMissingError(
            f"RabbitMQ {version} in {home} is older than {RABBITMQ_OLDEST[0]}.{RABBITMQ_OLDEST[1]}"
        )
    return RabbitBinaries(home, _find_erlang(), version)


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
