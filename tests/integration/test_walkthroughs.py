"""The walkthroughs work: each is followed to the letter in a copy of this repository, and what it runs passes."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from deploy.local.engines import Engines

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "walkthroughs.md"
#: What a clone does not have.
NOT_IN_A_CLONE = shutil.ignore_patterns(".git", ".venv", ".boxoffice", "__pycache__", ".*_cache", "*.egg-info", "build")
STEP_SECONDS = 280

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Step:
    """A file to write, a file to change, or lines of shell to run."""

    kind: Literal["write", "change", "run"]
    path: str
    text: str


class CannotFollow(Exception):
    """A step cannot be taken as it is written."""


def steps_of(section: str) -> Iterator[Step]:
    """The steps under one heading, in order. A code block that is no step is refused: it would go unchecked."""
    for new, changed, language, text in re.findall(
        r"(?:New file `([^`\n]+)`:\n\n|In `([^`\n]+)`:\n\n|)```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL
    ):
        if new:
            yield Step("write", new, text)
        elif changed and language == "diff":
            yield Step("change", changed, text)
        elif language == "sh":
            yield Step("run", "", text)
        else:
            raise CannotFollow(f"a block of {language or 'nothing'} belongs to no step: {text[:60]!r}")


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the second level; one within a code block is none."""
    parts = re.split(r"(^```.*?^```$)", page, flags=re.MULTILINE | re.DOTALL)
    marked = "".join(one if one.startswith("```") else re.sub("^## ", "\0", one, flags=re.MULTILINE) for one in parts)
    return dict(one.split("\n", 1) for one in marked.split("\0")[1:])


def changed_by(diff: str, text: str) -> str:
    """A text with a diff applied: its old lines must be there exactly once, one after the other."""
    lines = diff.splitlines()
    if any(line[:1] not in {" ", "+", "-", ""} for line in lines):
        raise CannotFollow(f"this is no diff: {diff!r}")
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    found = [one.start() for one in re.finditer(f"^(?={re.escape(old)})", text, re.MULTILINE)]
    if not old or len(found) != 1:
        raise CannotFollow(f"its place is found {len(found)} times: {old!r}")
    return text[: found[0]] + new + text[found[0] + len(old) :]


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, and engines for what is run in it."""

    folder: Path
    engines: Engines

    def follow(self, heading: str) -> list[str]:
        """Take every step under a heading; returns the commands that were run."""
        run = []
        for step in steps_of(sections(PAGE.read_text())[heading]):
            if step.kind == "run":
                run += step.text.splitlines()
                for command in step.text.splitlines():
                    self.run(command)
            else:
                self._edit(step)
        return run

    def _edit(self, step: Step) -> None:
        path = self.folder / step.path
        if step.kind == "write":
            if path.exists():
                raise CannotFollow(f"{step.path} is there already")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text)
            return
        try:
            path.write_text(changed_by(step.text, path.read_text()))
        except CannotFollow as error:
            raise CannotFollow(f"{step.path}: {error}") from None

    def run(self, command: str) -> None:
        """Run one line: of `make`, what its recipe says."""
        words = shlex.split(command)
        if words[0] == "make":
            for line in recipe((self.folder / "Makefile").read_text(), words[1]):
                self.run(line)
            return
        program = Path(sys.executable).with_name(words[0].removeprefix(".venv/bin/"))
        # A script's first line names an interpreter that may have been moved since.
        call = [sys.executable, *words[1:]] if program.name == "python" else [sys.executable, str(program), *words[1:]]
        done = subprocess.run(
            call, cwd=self.folder, env=self._environment(), capture_output=True, text=True, timeout=STEP_SECONDS,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        return {
            **kept,
            "PYTHONPATH": str(self.folder),
            "BOXOFFICE_DATABASE_URL": self.engines.database_url,
            "BOXOFFICE_AMQP_URL": self.engines.amqp_url,
            "PYTEST_ADDOPTS": "-n 0 -p no:cacheprovider",
            "RUFF_NO_CACHE": "true",
        }


def recipe(makefile: str, target: str) -> list[str]:
    """The commands of a target."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found, f"there is no target {target}"
    return [line.strip().removeprefix("@").replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


@pytest.fixture
def copy(tmp_path: Path, engines: Engines) -> Copy:
    """The repository as it is now."""
    return Copy(Path(shutil.copytree(ROOT, tmp_path / "copy", ignore=NOT_IN_A_CLONE)), engines)


def test_a_service_and_a_message_are_added(copy: Copy) -> None:
    """The service starts from its folder, becomes ready, takes its message in and counts it: its own tests say so."""
    run = copy.follow("Add a service")
    assert any("test_service_processes.py" in one and "test_tally.py" in one for one in run)
    run = copy.follow("Add a message")
    assert any("test_samples.py" in one and "test_tally_asked.py" in one for one in run)
    assert (copy.folder / "shared/contracts/schemas/deadline.noted.v1.json").is_file()
    assert (copy.folder / "docs/api/tally.openapi.json").is_file()


def test_a_column_is_added(copy: Copy) -> None:
    run = copy.follow("Add a column")
    assert any("test_reaper_reference.py" in one for one in run)


def test_every_section_is_followed() -> None:
    assert list(sections(PAGE.read_text())) == ["Add a service", "Add a message", "Add a column"]


def test_what_cannot_be_followed_is_noticed(copy: Copy) -> None:
    assert changed_by(" a\n-b\n+c\n", "a\nb\n") == "a\nc\n"
    wrong = [(" a\n+c\n", "b\n"), (" a\n+c\n", "a\na\n"), ("a\n", "a\n"), ("+a\n", "b\n"), (" a\n+c\n", "aa\n")]
    for diff, text in wrong:
        with pytest.raises(CannotFollow):
            changed_by(diff, text)
    with pytest.raises(CannotFollow, match="belongs to no step"):
        list(steps_of("\n```python\nprint()\n```\n"))
    with pytest.raises(AssertionError, match="no_such_module"):
        copy.run(".venv/bin/python -m no_such_module")
