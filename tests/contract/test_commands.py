"""Every command explains itself, speaks to programs, ends with a code that means the same everywhere, and completes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import typer.main

from boxoffice.cli import app, register_commands
from boxoffice.command_pages import main, make_page

ROOT = Path(__file__).parents[2]
#: Commands without --json, each with its reason.
WITHOUT_JSON = {"run": "what it prints is its log, one JSON object a line"}


def leaves(group: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Each command that does something, by its full name."""
    for name, command in vars(group)["commands"].items():
        full = f"{path} {name}".strip()
        if "commands" in vars(command):
            assert vars(command)["help"], f"{full} says nothing"
            yield from leaves(command, full)
        else:
            yield full, command


def options(command: object) -> set[str]:
    """Every spelling of every option of a command."""
    return {name for one in vars(command)["params"] for name in (*one.opts, *one.secondary_opts) if name[0] == "-"}


def faults(name: str, command: object) -> list[str]:
    """What a command lacks."""
    found = []
    if not re.match(r"[A-Z0-9].*\w.*[.]", vars(command)["help"] or "", re.DOTALL):
        found.append(f"{name} does not say in a sentence what it does")
    if "--json" not in options(command) and name not in WITHOUT_JSON:
        found.append(f"{name} has no --json")
    unexplained = [one.name for one in vars(command)["params"] if not getattr(one, "help", "") and not one.hidden]
    return [*found, *(f"{name} does not explain {one}" for one in unexplained)]


@pytest.fixture(scope="module")
def commands() -> object:
    """The command line, whole."""
    register_commands()
    return typer.main.get_command(app)


def test_every_command_explains_itself_and_speaks_to_programs(commands: object) -> None:
    found = dict(leaves(commands))
    assert {"up", "down", "status", "demo", "dead replay", "order show", "ledger", "gate admit"} <= set(found)
    assert [fault for name, command in found.items() for fault in faults(name, command)] == []
    assert set(WITHOUT_JSON) <= set(found)


def test_a_command_that_lacks_something_is_noticed() -> None:
    other = typer.Typer()

    @other.command()
    def silent(word: str) -> None:
        print(word)

    @other.command()
    def good() -> None:
        """Does something."""

    lacking = dict(leaves(typer.main.get_command(other)))
    assert faults("silent", lacking["silent"]) == [
        "silent does not say in a sentence what it does",
        "silent has no --json",
        "silent does not explain word",
    ]
    assert faults("good", lacking["good"]) == ["good has no --json"]


@pytest.mark.parametrize("path", sorted((ROOT / "boxoffice").glob("*.py")), ids=lambda path: path.name)
def test_no_command_has_exit_codes_of_its_own(path: Path) -> None:
    assert own_codes(path.read_text()) == []


def test_an_exit_code_of_its_own_is_noticed() -> None:
    text = "EXIT_ODD = 7\nraise typer.Exit(4)\nraise CommandError('no', 9)\nsys.exit(2)\nraise typer.Exit(FAILED)\n"
    assert own_codes(text) == ["EXIT_ODD = 7", "typer.Exit(4", "CommandError('no', 9", "sys.exit(2"]


def own_codes(text: str) -> list[str]:
    """Numbers that stand where a name of `boxoffice/exits.py` should."""
    pattern = r"^EXIT_\w+ = \d+|(?:typer\.Exit|sys\.exit)\((?:code=)?\d+|CommandError\([^\n]*, (?:code=)?\d+(?=\)$)"
    return re.findall(pattern, text, re.MULTILINE)


def test_the_page_is_what_the_commands_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == make_page()
    page = tmp_path / "commands.md"
    assert main(["--check"], page) == 1
    assert main(["--write"], page) == main(["--check"], page) == 0
    page.write_text(page.read_text().replace("--json", "--jsn"))
    assert main(["--check"], page) == 1
    assert main([], page) == 2
    assert "make schemas" in capsys.readouterr().err


def boxoffice(*arguments: str, **environment: str) -> str:
    """What the installed command prints. The interpreter is named: the folder may have been moved since."""
    script = Path(sys.executable).with_name("boxoffice")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    """As the script that it is given asks: the words so far go in by the environment, what fits comes back."""
    # Otherwise the shell is the one that started us, whichever that is.
    script = boxoffice("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert f"_BOXOFFICE_COMPLETE=complete_{shell}" in script
    asked = {"_BOXOFFICE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "boxoffice de"}
    if shell == "bash":
        asked |= {"COMP_WORDS": "boxoffice de", "COMP_CWORD": "1"}
    if shell == "fish":
        asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "de"}
    offered = set(re.findall(r"[\w-]+", boxoffice(**asked)))
    assert {"dead", "demo"} <= offered
    assert "ledger" not in offered
