"""`boxoffice demo`, as a newcomer runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.state import PROJECT
from tests.processes import processes_of

DEMO_SECONDS = 170


@pytest.mark.timeout(DEMO_SECONDS + 30)
def test_the_demo_holds_its_sums_and_leaves_nothing_behind(tmp_path: Path) -> None:
    state = tmp_path / "state of a newcomer"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
    done = subprocess.run(
        [sys.executable, "-m", "boxoffice", "demo", "--seed", "7"],
        cwd=PROJECT,
        env={**kept, "BOXOFFICE_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every sum holds." in done.stdout
    assert "FAILS" not in done.stdout
    for promise in ("P1", "P3", "P4", "P5", "P9"):
        assert f"holds {promise}" in " ".join(done.stdout.split()), promise
    assert processes_of(state) == []
    assert not list(state.glob("demo-*"))
