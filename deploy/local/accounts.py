"""Which user an engine runs as, and where that user can reach its files.

PostgreSQL refuses to run as root. We never make a system user and never open a folder that is not ours.
"""

import hashlib
import os
import pwd
import shutil
import stat
from pathlib import Path

from deploy.local.errors import LocalError
from deploy.local.processes import Account
from deploy.local.state import MARKER, StateFolder, make_folder

ELSEWHERE = Path("/var/tmp")  # noqa: S108 - the folder below it is ours, 0711, and checked to be ours


def engine_account() -> Account | None:
    """None (run as ourselves) unless we are root; then `postgres` if this system has it, else `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise LocalError("PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody`.")


def can_reach(account: Account | None, folder: Path) -> bool:
    """Whether the user may pass through every parent of the folder."""
    if account is None:
        return True
    return all(_may_pass(account, parent) for parent in (folder, *folder.parents) if parent.exists())


def _may_pass(account: Account, folder: Path) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def engine_home(state: StateFolder, account: Account | None) -> Path:
    """Where the engine keeps its data: in the state folder, or under /var/tmp where its user cannot reach that."""
    return state.path if can_reach(account, state.path) else _home_elsewhere(state)


def _home_elsewhere(state: StateFolder) -> Path:
    key = hashlib.sha256(str(state.path).encode()).hexdigest()[:16]
    home = ELSEWHERE / f"boxoffice-{key}"
    make_folder(home)
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise LocalError(f"The folder {home} belongs to somebody else. Remove it, or set BOXOFFICE_STATE_DIR.")
    (home / MARKER).write_text(f"Database files of the stack in {state.path}.\n")
    (state.path / "elsewhere").write_text(f"{home}\n")
    return home


def give_to(account: Account | None, path: Path) -> None:
    """Make a file or folder the engine's own."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def reachable_copy(account: Account | None, root: Path, parts: tuple[str, ...], home: Path) -> Path:
    """The root itself, or a copy of its named parts under the engine's home where its user cannot reach it."""
    if can_reach(account, root / parts[0]):
        return root
    copy = home / "engine"
    for part in parts:
        if not (copy / part).exists():
            _copy_whole(root / part, copy / part)
    return copy


def _copy_whole(source: Path, target: Path) -> None:
    make_folder(target.parent)
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, symlinks=True)
    unfinished.chmod(0o755)
    unfinished.rename(target)
