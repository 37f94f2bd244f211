"""What to install on this system, for people who have neither engine."""

import platform
import sys
from pathlib import Path

LABELS = {"postgres": "PostgreSQL 14 or newer", "rabbitmq": "RabbitMQ 3.10 or newer"}
COMMANDS = {
    "debian": {
        "postgres": "sudo apt install postgresql",
        "rabbitmq": "sudo apt install rabbitmq-server",
    },
    "alpine": {
        "postgres": "apk add postgresql",
        "rabbitmq": "apk add rabbitmq-server (in the `community` repository of Alpine 3.18 and newer)",
    },
    "fedora": {
        "postgres": "sudo dnf install postgresql-server",
        "rabbitmq": "sudo dnf install rabbitmq-server",
    },
    "macos": {
        "postgres": "brew install postgresql@17 (or: conda install -c conda-forge postgresql)",
        "rabbitmq": "brew install rabbitmq (or: conda install -c conda-forge rabbitmq-server)",
    },
    "windows": {
        "postgres": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install postgresql",
        "rabbitmq": "run Boxoffice inside WSL2: `wsl --install`, then inside it: sudo apt install rabbitmq-server",
    },
}
URLS = {"postgres": "BOXOFFICE_DATABASE_URL", "rabbitmq": "BOXOFFICE_AMQP_URL"}


def system() -> str:
    """The key of COMMANDS for this system; `other` if it has none."""
    by_platform = {"darwin": "macos", "win32": "windows"}
    return by_platform.get(sys.platform) or _distribution()


def _distribution() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "alpine" if Path("/etc/alpine-release").exists() else "other"
    names = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    families = {"debian": {"debian", "ubuntu"}, "alpine": {"alpine"}, "fedora": {"fedora", "rhel"}}
    return next((family for family, members in families.items() if names & members), "other")


def no_engine(engine: str, reasons: list[str], on: str | None = None) -> str:
    """The whole message for a person whose machine offers no such engine: what was tried, and what to do."""
    commands = COMMANDS.get(on or system(), {})
    command = commands.get(engine, f"the package of {LABELS[engine]} of your system")
    tried = "\n".join(f"  - {reason}" for reason in reasons)
    return (
        f"No {LABELS[engine]} was found. Tried:\n{tried}\n"
        f"Do one of these, then start again:\n"
        f"  - install it: {command}\n"
        f"  - start Docker or Podman, and a container will be used\n"
        f"  - set {URLS[engine]} to a server that you have"
    )
