"""The state folder: secrets, remembered ports, pid files, logs and the engines' data of one stack."""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deploy.local.errors import LocalError
from deploy.local.ports import choose_free_ports, is_free

PROJECT = Path(__file__).resolve().parents[2]
MARKER = ".boxoffice-state"


class StateFolder:
    """One folder, one stack. Two stacks side by side have two folders."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    @classmethod
    def from_environment(cls) -> "StateFolder":
        """`BOXOFFICE_STATE_DIR`, or `.boxoffice` in the project."""
        return cls(Path(os.environ.get("BOXOFFICE_STATE_DIR") or PROJECT / ".boxoffice"))

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def pids(self) -> Path:
        return self.path / "pids"

    @property
    def marked(self) -> bool:
        """Whether the folder is ours. Only such a folder is ever removed."""
        return (self.path / MARKER).is_file()

    def create(self) -> None:
        """Make the folders. Others may pass through (an engine may run as another user) and see nothing."""
        make_folder(self.path)
        for folder in (self.logs, self.pids):
            # The launcher's log shows tokens.
            make_folder(folder, mode=0o700)
        marker = self.path / MARKER
        if not marker.exists():
            marker.write_text("State of a local Boxoffice stack. Stop the stack before removing this folder.\n")

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
        """The secret of this name, generated once and kept in a file that only the owner reads."""
        return str(self._remember("secrets.json", name, make))

    def port(self, name: str) -> int:
        """A free port, the same as last time while it is still free."""
        ports = read_json(self.path / "ports.json")
        known = ports.get(name)
        if isinstance(known, int) and is_free(known):
            return known
        with contextlib.suppress(KeyError):
            del ports[name]
        (ports[name],) = _choose_other_than(set(ports.values()))
        write_json(self.path / "ports.json", ports)
        return int(ports[name])

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the folder for one launcher. Yields False, holding nothing, if another launcher has it.

        The kernel drops the lock when the launcher dies, however it dies.
        """
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _remember(self, file_name: str, name: str, make: Callable[[], str]) -> Any:
        path = self.path / file_name
        known = read_json(path)
        if name not in known:
            known[name] = make()
            write_json(path, known)
        return known[name]


def _choose_other_than(used: set[int]) -> list[int]:
    return [port for port in choose_free_ports(len(used) + 1) if port not in used][:1]


def make_folder(folder: Path, mode: int = 0o711) -> None:
    """Make a folder whatever the umask says; by default others may pass through and not look inside."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(mode)
    except OSError as error:
        raise LocalError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LocalError(f"The file {path} is damaged. Remove it to start anew.") from error
    return dict(content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file whole, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    temporary.replace(path)
