"""Whatever kills a launcher, at whatever moment: its children end, and nobody else's do."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.processes import LAUNCH, end_leftovers, find_process, marked, spawn
from deploy.local.state import PROJECT, StateFolder, read_json, write_json
from tests.processes import processes_of

#: A launcher that is at the point its argument names when it is killed.
LAUNCHER = """
import subprocess, sys
from pathlib import Path
from deploy.local.processes import Guard, marked, spawn
from deploy.local.state import StateFolder
state = StateFolder(Path(sys.argv[1]))
state.create()
guard = Guard(state)
child = spawn(state, "child", ["sleep", "600"], environment={})
if sys.argv[2] == "before the pid file":
    child.pid_file.unlink()
if sys.argv[2] == "while preparing":
    subprocess.run(["sh", "-c", "echo ready; sleep 600; true"], env=marked(state), check=True)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state folder")
    made.create()
    return made


@pytest.mark.parametrize("moment", ["before the pid file", "while preparing", "at work"])
def test_killed_launcher_leaves_no_child(state: StateFolder, moment: str) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(state.path), moment],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    assert launcher.stdin is not None
    with launcher.stdout, launcher.stdin:
        assert launcher.stdout.readline() == "ready\n"
        left = [process for process in processes_of(state.path) if process.pid != launcher.pid]
        # The guard, the child, and the shell with its own child.
        assert len(left) == (4 if moment == "while preparing" else 2)
        launcher.kill()
        launcher.wait()
    assert psutil.wait_procs(left, timeout=60)[1] == []
    assert list(state.pids.iterdir()) == []


def test_late_guard_leaves_the_next_launchers_children_alone(state: StateFolder) -> None:
    child = spawn(state, "child", ["sleep", "600"], environment={})
    try:
        assert end_leftovers(state, "the launcher before") == []
        assert child.alive()
        assert find_process(child.pid_file) is not None
        assert end_leftovers(state, LAUNCH) == ["child"]
        assert not child.alive()
    finally:
        child.kill()


def test_next_start_ends_the_children_of_every_launcher_before(state: StateFolder) -> None:
    child = spawn(state, "child", ["sleep", "600"], environment={})
    write_json(child.pid_file, {**read_json(child.pid_file), "launch": "the launcher before"})
    with subprocess.Popen(["sleep", "600"], env=marked(state)) as stray:
        assert end_leftovers(state) == ["child", "sleep"]
        assert stray.poll() is not None
    assert not child.alive()


def test_other_stacks_are_left_alone(state: StateFolder, tmp_path: Path) -> None:
    other = StateFolder(tmp_path / "state folder of another")
    other.create()
    child = spawn(other, "child", ["sleep", "600"], environment={})
    try:
        assert end_leftovers(state) == []
        assert child.alive()
    finally:
        child.kill()
