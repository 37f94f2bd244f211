"""`docs/commands.md`, written from the commands themselves.

`python -m boxoffice.command_pages --write` or `--check`.
"""

import sys
from pathlib import Path
from typing import Any

import typer
import typer.main
from typer.cli import get_docs_for_click

from boxoffice import exits
from boxoffice.cli import app, register_commands
from deploy.local.state import PROJECT

PAGE = PROJECT / "docs" / "commands.md"
_HEAD = f"""# Commands

Written from the commands' own help by `make schemas`; do not edit it. `boxoffice` is `.venv/bin/boxoffice`.

| exit code | meaning |
| --- | --- |
| {exits.DONE} | done; and for a command that checks something: it holds |
| {exits.FAILED} | it could not be done, or what was checked does not hold |
| {exits.USAGE} | the command was given wrongly; nothing was done |
| {exits.UNREACHABLE} | there is nobody to talk to: the stack is not running, or a service or RabbitMQ does not answer |
| {exits.DOUBTFUL} | what was checked is neither right nor wrong as far as the command knows; its help says who knows |
| {exits.INTERRUPTED} | Ctrl-C |

`--json` prints one JSON document on stdout and nothing else there; what went wrong is said on stderr.

`boxoffice --install-completion` teaches the shell to complete commands and options (bash, zsh, fish, PowerShell).

Commands that look into a stack take the one that runs in this folder. For another, set `BOXOFFICE_OPERATOR_TOKEN`,
`BOXOFFICE_AMQP_URL`, `BOXOFFICE_NAMESPACE` and the service's address (`BOXOFFICE_ORDERS_URL` and its like).

"""


def make_page() -> str:
    """The page, from the commands as they are."""
    register_commands()
    command = typer.main.get_command(app)
    # Typed as one of its subclasses, of which it needs nothing.
    context: Any = typer.Context(command, info_name="boxoffice")
    with context:
        body = get_docs_for_click(obj=command, ctx=context, name="boxoffice", title="The commands")
    # One heading a page.
    return _HEAD + body.replace("# The commands", "## The commands", 1).rstrip() + "\n"


def main(arguments: list[str], page: Path = PAGE) -> int:
    """Write the page or compare with it; returns the exit code."""
    if arguments == ["--write"]:
        page.write_text(make_page())
        return exits.DONE
    if arguments == ["--check"]:
        if page.is_file() and page.read_text() == make_page():
            return exits.DONE
        sys.stderr.write("docs/commands.md is not what the commands say: make schemas\n")
        return exits.FAILED
    sys.stderr.write("usage: python -m boxoffice.command_pages --write | --check\n")
    return exits.USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
