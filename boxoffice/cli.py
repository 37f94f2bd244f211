"""The command `boxoffice`.

Every module `boxoffice/commands_*.py` adds its own: it has a function `register(app)` that gets the application.
"""

import functools
import importlib
import logging
import pkgutil

import typer
from rich.console import Console

import boxoffice
from boxoffice.exits import DONE, FAILED, CommandError
from deploy.local.errors import LocalError

app = typer.Typer(
    name="boxoffice",
    help="Sells tickets: never one twice, none stuck, no money kept for nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


@functools.cache
def register_commands() -> None:
    """Let each `commands_*` module of this package add its commands; once, however often it is called."""
    for module in sorted(pkgutil.iter_modules(boxoffice.__path__), key=lambda module: module.name):
        if module.name.startswith("commands_"):
            importlib.import_module(f"boxoffice.{module.name}").register(app)


def main() -> int:
    """Run the command line; returns the exit code. What is wrong with this machine is told without a traceback."""
    # What a library logs of a broker that is away is told by the commands in words; to stderr it would mix with them.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    register_commands()
    try:
        app()
    except (LocalError, CommandError) as error:
        Console(stderr=True, soft_wrap=True).print(f"boxoffice: {error}", markup=False, highlight=False)
        return error.code if isinstance(error, CommandError) else FAILED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED if ended.code else DONE
    return DONE
