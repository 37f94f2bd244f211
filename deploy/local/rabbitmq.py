"""Our own RabbitMQ node: found, configured, started, stopped. Never the system's running node.

The Erlang machine is started directly, without the package's shell scripts: they read the system's settings, insist on
certain users, leave `epmd` behind and break on a space in a path.
"""

import contextlib
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.errors import LocalError
from deploy.local.handshake import NotReadyError, log_in
from deploy.local.logs import explain_log
from deploy.local.ports import LOOPBACK, require_free
from deploy.local.processes import LAST, Child, spawn
from deploy.local.state import StateFolder, make_folder
from deploy.machine.needs import UNUSABLE_IN_PATHS

USER = "boxoffice"
START_SECONDS = 120
STOP_SECONDS = 40
GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class RabbitBinaries:
    """A RabbitMQ installation (the folder with `plugins`) and the Erlang it runs on (the folder with `erts-*`)."""

    home: Path
    erlang: Path
    version: str
    libraries: tuple[Path, ...] = ()

    @property
    def erts(self) -> Path:
        return max(self.erlang.glob("erts-*"), key=lambda folder: folder.name) / "bin"


class RabbitNode:
    """A private node in a state folder, with an `epmd` of its own. `start` and `stop` may be called again and again."""

    def __init__(self, state: StateFolder, binaries: RabbitBinaries) -> None:
        unusable = set(str(state.path)) & UNUSABLE_IN_PATHS
        if unusable:
            # Its disk monitor hands the path to a shell, unquoted against these, and then waits for ever.
            raise LocalError(f"RabbitMQ cannot run in {state.path}: its path contains {' '.join(sorted(unusable))}")
        self._state = state
        self._binaries = binaries
        self._home = state.path / "rabbitmq"
        self._name = state.secret("rabbitmq_node", lambda: f"boxoffice-{os.urandom(4).hex()}")
        self._password = state.secret("rabbitmq_password")
        self._node: Child | None = None
        self._epmd: Child | None = None
        self._ports: dict[str, int] = {}

    @property
    def url(self) -> str:
        """The AMQP URL; valid after `start`. It stays the same over restarts of this object."""
        return f"amqp://{USER}:{self._password}@{LOOPBACK}:{self._ports['amqp']}/"

    @property
    def pid(self) -> int | None:
        return self._node.pid if self._node and self._node.alive() else None

    def has_ended(self) -> bool:
        """Whether it was started and ended by itself."""
        return self._node is not None and not self._node.alive()

    def start(self) -> None:
        """Start the node and wait until it accepts our login. Raises LocalError within two minutes."""
        if not self._ports:
            self.use_ports(**{name: self._state.port(name) for name in ("amqp", "distribution", "epmd")})
        if self._epmd:
            # It outlived a node that died.
            self._epmd.stop(5)
        for name, port in self._ports.items():
            require_free(port, f"RabbitMQ, {name}", "End that process, or start again.")
        self._write_files()
        self._start_epmd()
        self._node = spawn(
            self._state, "rabbitmq", self._command(), environment=self._environment(), stage=2, folder=self._home
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def use_ports(self, *, amqp: int, distribution: int, epmd: int) -> None:
        """Choose the ports instead of taking free ones."""
        self._ports = {"amqp": amqp, "distribution": distribution, "epmd": epmd}

    def stop(self) -> None:
        """A clean stop of the node, then the end of its epmd."""
        if self._node:
            self._node.stop(STOP_SECONDS)
            self._node = None
        if self._epmd:
            self._epmd.stop(5)
        self._end_strange_epmd()

    def kill(self) -> None:
        """End the node as a power cut would. For tests of crashes."""
        if self._node:
            self._node.kill()
        if self._epmd:
            self._epmd.kill()

    def _command(self) -> list[str]:
        return [
            str(self._binaries.erts / "erlexec"),
            *("-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl", "-start_epmd", "false"),
            # As the package starts it, but not bound to cores: several nodes may share a small machine.
            *(
                "+W",
                "w",
                "+MBas",
                "ageffcbf",
                "+MHas",
                "ageffcbf",
                "+MBlmbcs",
                "512",
                "+MHlmbcs",
                "512",
                "+MMmcs",
                "30",
            ),
            *("+P", "1048576", "+t", "5000000", "+stbt", "u", "+zdbbl", "128000"),
            *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+B", "i"),
            *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
            *("-kernel", "prevent_overlapping_partitions", "false"),
        ]

    def _environment(self) -> dict[str, str]:
        home, node = self._home, f"{self._name}@localhost"
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("RABBITMQ_", "ERL_", "LD_LIBRARY_PATH"))}
        libraries = ":".join(str(folder) for folder in self._binaries.libraries)
        return kept | {
            "HOME": str(home),
            "PATH": f"{self._binaries.erts}:{os.environ.get('PATH', os.defpath)}",
            "ROOTDIR": str(self._binaries.erlang),
            "BINDIR": str(self._binaries.erts),
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_LIBS": str(self._binaries.home / "plugins"),
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            # Reaches every Erlang that the node starts as well, so that none of them listens for other machines.
            "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_MAX_ETS_TABLES": "50000",
            "ERL_MAX_PORTS": "65536",
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PLUGINS_DIR": str(self._binaries.home / "plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(home / "plugins-expand"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_MNESIA_DIR": str(home / "data" / "node"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "data" / "feature_flags"),
            "RABBITMQ_PID_FILE": str(home / "data" / "node.pid"),
            "RABBITMQ_LOG_BASE": str(self._state.logs),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_UPGRADE_LOG": str(home / "upgrade.log"),
            **({"LD_LIBRARY_PATH": libraries} if libraries else {}),
        }

    def _write_files(self) -> None:
        for folder in (self._home, self._home / "data"):
            make_folder(folder)
            folder.chmod(0o700)
        (self._home / "rabbitmq-env.conf").write_text("# Empty, so that the system's own is not read.\n")
        for name in ("advanced.config", "enabled_plugins"):
            (self._home / name).write_text("[].\n")
        self._write_private("rabbitmq.conf", self._configuration())
        self._write_private(".erlang.cookie", self._state.secret("rabbitmq_cookie", lambda: os.urandom(24).hex()))

    def _write_private(self, name: str, content: str) -> None:
        path = self._home / name
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(content)
        path.chmod(0o400)

    def _configuration(self) -> str:
        return "\n".join(
            (
                f"listeners.tcp.1 = {LOOPBACK}:{self._ports['amqp']}",
                f"cluster_name = {self._name}",
                f"default_user = {USER}",
                f"default_pass = {self._password}",
                "heartbeat = 30",
                "vm_memory_high_watermark.relative = 0.5",
                f"disk_free_limit.absolute = {self._disk_limit_bytes()}",
                "log.console = true",
                "log.console.level = info",
                "log.file = false",
                "",
            )
        )

    def _disk_limit_bytes(self) -> int:
        """2 GB; less on a disk that has little, where that limit would silently stop every publisher from the start."""
        return min(2 * GIGABYTE, shutil.disk_usage(self._home).free // 4)

    def _start_epmd(self) -> None:
        # In the foreground and before the node: an epmd that the node starts itself is a daemon that outlives it.
        port = str(self._ports["epmd"])
        self._epmd = spawn(
            self._state,
            "epmd",
            [self._binaries.erts / "epmd", "-port", port, "-address", LOOPBACK],
            environment=self._environment(),
            stage=LAST,
            folder=self._home,
        )
        deadline = time.monotonic() + 15
        while not self._epmd_answers():
            if not self._epmd.alive() or time.monotonic() > deadline:
                raise LocalError(f"Erlang's port mapper did not start. {explain_log(self._epmd.log)}")
            time.sleep(0.02)

    def _epmd_answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self._ports["epmd"]), timeout=2) as connection:
                connection.sendall(b"\x00\x01n")
                return connection.recv(4) == self._ports["epmd"].to_bytes(4, "big")
        except OSError:
            return False

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        reason = ""
        while self._node and self._node.alive():
            try:
                broker = log_in(self.url)
            except NotReadyError as error:
                reason = str(error)
            else:
                if broker.cluster_name == self._name:
                    return
                reason = f"another broker, {broker.cluster_name}, answers on port {self._ports['amqp']}"
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        log = explain_log(self._state.logs / "rabbitmq.log")
        raise LocalError(f"RabbitMQ did not become ready within {START_SECONDS} s ({reason}). {log}")

    def _end_strange_epmd(self) -> None:
        """The node starts an epmd itself if ours died under it; that one is a daemon, found by its command line."""
        port = str(self._ports.get("epmd", ""))
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if port and process.name() == "epmd" and process.environ().get("ERL_EPMD_PORT") == port:
                    process.send_signal(signal.SIGKILL)
