"""What to install on this system, for people who lack something."""

from __future__ import annotations

import sys
from pathlib import Path

LABELS = {
    "postgres": "PostgreSQL 14 or newer",
    "rabbitmq": "RabbitMQ 3.10 or newer",
    "python": "Python 3.11 to 3.14",
    "venv": "Python's `venv` and `ensurepip`",
}
COMMANDS = {
    "debian": {
        "postgres": "sudo apt install postgresql",
        "rabbitmq": "sudo apt install rabbitmq-server",
        "python": "sudo apt install python3 python3-venv",
        "venv": "sudo apt install python{python}-venv",
    },
    "alpine": {
        "postgres": "apk add postgresql",
        "rabbitmq": "apk add rabbitmq-server (in the `community` repository of Alpine 3.18 and newer)",
        "python": "apk add python3",
        "venv": "apk add python3",
    },
    "fedora": {
        "postgres": "sudo dnf install postgresql-server",
        "rabbitmq": "sudo dnf install rabbitmq-server",
        "python": "sudo dnf install python3",
        "venv": "sudo dnf install python3",
    },
    "arch": {
        "postgres": "sudo pacman -S postgresql",
        "rabbitmq": "sudo pacman -S rabbitmq",
        "python": "sudo pacman -S python",
        "venv": "sudo pacman -S python",
    },
    "suse": {
        "postgres": "sudo zypper install postgresql-server",
        "rabbitmq": "sudo zypper install rabbitmq-server",
        "python": "sudo zypper install python313",
        "venv": "sudo zypper install python313",
    },
    "macos": {
        "postgres": "brew install postgresql@17 (or: conda install -c conda-forge postgresql)",
        "rabbitmq": "brew install rabbitmq (or: conda install -c conda-forge rabbitmq-server)",
        "python": "brew install python@3.13 (or: conda install -c conda-forge python=3.13)",
        "venv": "brew install python@3.13 (or: conda install -c conda-forge python=3.13)",
    },
    "windows": {
        "postgres": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install postgresql",
        "rabbitmq": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install rabbitmq-server",
        "python": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install python3 python3-venv",
        "venv": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install python3 python3-venv",
    },
}
FAMILIES = {
    "debian": {"debian", "ubuntu"},
    "alpine": {"alpine"},
    "fedora": {"fedora", "rhel", "centos"},
    "arch": {"arch"},
    "suse": {"suse", "opensuse"},
}
URLS = {"postgres": "BOXOFFICE_DATABASE_URL", "rabbitmq": "BOXOFFICE_AMQP_URL"}
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


def system() -> str:
    """The key of COMMANDS for this system; `other` if it has none."""
    by_platform = {"darwin": "macos", "win32": "windows", "cygwin": "windows"}
    return by_platform.get(sys.platform) or _distribution()


def _distribution() -> str:
    release = _read_os_release()
    names = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    return next((family for family, members in FAMILIES.items() if names & members), "other")


def _read_os_release() -> dict[str, str]:
    # Python reads this file itself from 3.10 on; this has to work with an older one, to say that it is too old.
    for path in OS_RELEASE:
        if path.is_file():
            pairs = (line.partition("=") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
            return {name: value.strip("\"'") for name, _, value in pairs}
    return {}


def command_for(what: str, on: str | None = None) -> str:
    """The command that installs it on this system."""
    commands = COMMANDS.get(on or system(), {})
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return commands.get(what, f"the package of {LABELS[what]} of your system").format(python=version)


def ways_to_get(engine: str, on: str | None = None) -> list[str]:
    """What a person whose machine offers no such engine can do; any one of these is enough."""
    return [
        f"install it: {command_for(engine, on)}",
        "start Docker or Podman, and a container will be used",
        f"set {URLS[engine]} to a server that you have",
    ]


def no_engine(engine: str, reasons: list[str], on: str | None = None) -> str:
    """The whole message for a person whose machine offers no such engine: what was tried, and what to do."""
    tried = "\n".join(f"  - {reason}" for reason in reasons)
    todo = "\n".join(f"  - {way}" for way in ways_to_get(engine, on))
    return f"No {LABELS[engine]} was found. Tried:\n{tried}\nDo one of these, then start again:\n{todo}"
