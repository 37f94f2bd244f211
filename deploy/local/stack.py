"""The whole local stack: engines, databases, services, the Paystack sandbox and the mail catcher."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deploy.local import preflight, status
from deploy.local.databases import WITH_DATABASE
from deploy.local.demo_event import ensure_demo_event
from deploy.local.engine_watch import EngineWatch
from deploy.local.engines import ENGINES, EngineName, Engines, start_engines
from deploy.local.plan import (
    Secrets,
    Wiring,
    catcher_environment,
    read_port_offset,
    sandbox_environment,
    service_environment,
)
from deploy.local.processes import tidy_up
from deploy.local.provisioning import declare_queues, migrate, stack_secrets
from deploy.local.signals import ignore_signals, stopped_by_signals
from deploy.local.state import StateFolder, read_json, write_json
from deploy.local.supervisor import Program, Supervisor
from shared.contracts.registry import SERVICES, ServiceName

READY_SECONDS = 90
HELPER_GRACE_SECONDS = 5.0
DATABASES_FILE = "databases.json"
OPERATOR_FILE = "operator.json"


@dataclass(frozen=True)
class Summary:
    """What a person needs to know of a stack that is ready."""

    addresses: Mapping[str, str]
    secrets: Secrets
    engines: Mapping[str, str]
    event_id: str


class AlreadyRunning(Exception):
    """Another launcher has this state folder."""


class LocalStack:
    """One stack in one state folder; `run` starts it and returns after it was told to stop."""

    def __init__(
        self,
        state: StateFolder,
        replicas: Mapping[ServiceName, int],
        *,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._state = state
        self._replicas = replicas
        self._environment = dict(os.environ if environment is None else environment)
        self._say = say
        self._record = status.StackRecord.of_this_process("starting")
        self._groups: list[Supervisor] = []
        self._engine_watch: EngineWatch | None = None

    def run(self, ready: Callable[[Summary], None]) -> None:
        """Start everything, call `ready`, keep it running until SIGINT or SIGTERM, stop everything.

        Raises AlreadyRunning, and LocalError in plain words if it cannot start; nothing runs on after that.
        """
        self._state.create()
        with self._state.lock() as ours:
            if not ours:
                raise AlreadyRunning
            with status.recorded(self._state), stopped_by_signals():
                self._start_and_run(ready)

    def _start_and_run(self, ready: Callable[[Summary], None]) -> None:
        # Before the ports are looked at: who starts again at once meets what the guard has not ended yet.
        tidy_up(self._state, self._say)
        self._check_machine()
        engines = start_engines(
            self._state,
            durable=True,
            needed=self._needed_engines(),
            environment=self._environment,
            progress=self._say,
        )
        try:
            wiring = self._wire(engines)
            if not asyncio.run(self._run_processes(wiring, engines, ready)):
                raise KeyboardInterrupt
        finally:
            ignore_signals()
            self._say("Stopping PostgreSQL and RabbitMQ")
            engines.stop()

    def _check_machine(self) -> None:
        preflight.raise_open_files()
        preflight.check_machine(self._state.path, self._say)
        bare = Wiring("", {}, stack_secrets(self._state), read_port_offset(self._environment), "", self._environment)
        preflight.check_ports(bare, self._replicas)

    def _needed_engines(self) -> list[EngineName]:
        """An engine is not needed where every service was given its own URL."""
        given = {
            "postgres": all(self._given_database(service) for service in WITH_DATABASE),
            "rabbitmq": all(self._environment.get(f"{service.upper()}_AMQP_URL") for service in SERVICES),
        }
        return [engine for engine in ENGINES if not given[engine]]

    def _given_database(self, service: str) -> str:
        return self._environment.get(f"{service.upper()}_DATABASE_URL", "")

    def _wire(self, engines: Engines) -> Wiring:
        urls = migrate(self._state, engines, self._environment, self._say)
        # For the checks that look into all databases at once; private, like the passwords in it.
        write_json(self._state.path / DATABASES_FILE, {str(service): url for service, url in urls.items()})
        wiring = Wiring(
            amqp_url=engines.amqp_url if "rabbitmq" in engines.chosen else "",
            database_urls=urls,
            secrets=stack_secrets(self._state),
            port_offset=read_port_offset(self._environment),
            inherited=self._environment,
        )
        write_json(self._state.path / OPERATOR_FILE, _for_the_operator(wiring))
        return wiring

    async def _run_processes(self, wiring: Wiring, engines: Engines, ready: Callable[[Summary], None]) -> bool:
        """Returns after a stop: True if everything had been ready before it."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, stop)
        helpers = self._supervise(self._helpers(wiring))
        services = self._supervise(self._services(wiring))
        self._groups = [services, helpers]
        self._record = replace(self._record, engines=engines.descriptions, addresses=addresses(wiring))
        watch = EngineWatch(engines, self._say, self._write_record)
        self._engine_watch = watch
        watching = asyncio.create_task(watch.run(stop))
        try:
            self._say("Starting the services, the Paystack sandbox and the mail catcher")
            helpers.start()
            if wiring.amqp_url:
                await declare_queues(wiring.amqp_url, wiring.namespace)
            services.start()
            became_ready = await self._wait_until_ready(stop)
            if became_ready:
                event_id = await self._make_demo_event(wiring)
                write_json(self._state.path / OPERATOR_FILE, {**_for_the_operator(wiring), "event_id": event_id})
                # First said, then recorded: who waits for the record finds the words complete.
                ready(Summary(addresses(wiring), wiring.secrets, engines.descriptions, event_id))
                self._set_phase("ready")
                await stop.wait()
            return became_ready
        finally:
            self._set_phase("stopping")
            self._say("Stopping the services")
            stop.set()
            await watching
            for group in self._groups:
                await group.stop()

    def _on_signal(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            self._say("Asked again: ending everything at once")
            for group in self._groups:
                group.kill()
        stop.set()

    async def _wait_until_ready(self, stop: asyncio.Event) -> bool:
        """True once all are ready; False if told to stop before."""
        ready = asyncio.create_task(self._everything_ready())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ready, stopped):
            task.cancel()
        await asyncio.gather(ready, stopped, return_exceptions=True)
        if ready.cancelled():
            return False
        ready.result()
        return True

    async def _everything_ready(self) -> None:
        await asyncio.gather(*(group.wait_until_ready(READY_SECONDS) for group in self._groups))

    async def _make_demo_event(self, wiring: Wiring) -> str:
        return await ensure_demo_event(self._state, wiring.url("inventory"), wiring.secrets.organiser_token)

    def _supervise(self, programs: list[Program]) -> Supervisor:
        return Supervisor(self._state, programs, self._say, self._write_record)

    def _services(self, wiring: Wiring) -> list[Program]:
        return [
            service_program(service, replica, wiring)
            for service in SERVICES
            for replica in range(self._replicas.get(service, 1))
        ]

    def _helpers(self, wiring: Wiring) -> list[Program]:
        sandbox = sandbox_environment(wiring, str(self._state.path / "sandbox.sqlite"))
        catcher = catcher_environment(wiring, str(self._state.path / "catcher.data"))
        return [
            _helper("sandbox", sandbox, wiring),
            _helper("catcher", catcher, wiring),
        ]

    def _set_phase(self, phase: status.Phase) -> None:
        self._record = replace(self._record, phase=phase)
        self._write_record()

    def _write_record(self) -> None:
        engines = self._engine_watch.records() if self._engine_watch else ()
        processes = tuple(
            status.ProcessRecord(
                kept.program.name,
                kept.condition.value,
                kept.child.pid if kept.child else None,
                kept.program.port,
                kept.program.ready_url,
                kept.restarts,
            )
            for group in self._groups
            for kept in group.kept
        )
        status.write(self._state, replace(self._record, processes=(*engines, *processes)))


def service_program(service: ServiceName, replica: int, wiring: Wiring) -> Program:
    """One replica of a service, as a process. The first is named after the service, the others `orders-1` and so on."""
    port = wiring.port(service, replica)
    return Program(
        name=service if replica == 0 else f"{service}-{replica}",
        command=[sys.executable, "-m", "boxoffice", "run", service],
        environment=service_environment(service, replica, wiring),
        port=port,
        ready_url=f"{wiring.url(service, replica)}/readyz",
    )


def _for_the_operator(wiring: Wiring) -> dict[str, Any]:
    """What the commands that look into a running stack must know of it."""
    return {
        "amqp_url": wiring.amqp_url,
        "namespace": wiring.namespace,
        "urls": {name: wiring.url(name) for name in (*SERVICES, "sandbox", "catcher")},
    }


def read_operator_file(state: StateFolder) -> dict[str, Any]:
    """`amqp_url`, `namespace` and `urls` of the stack that runs in this folder, and `event_id` of the demo event once
    it is ready; empty before it is wired."""
    return read_json(state.path / OPERATOR_FILE)


def _helper(name: str, environment: dict[str, str], wiring: Wiring) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-m", f"deploy.{name}"],
        environment=environment,
        port=wiring.port(name),
        ready_url=f"{wiring.url(name)}/readyz",
        grace_seconds=HELPER_GRACE_SECONDS,
    )


def addresses(wiring: Wiring) -> dict[str, str]:
    """What a person opens in a browser."""
    return {
        "Shop": f"{wiring.url('gateway')}/",
        "Paystack sandbox": f"{wiring.url('sandbox')}/",
        "Mail": f"{wiring.url('catcher')}/",
        "Organiser (inventory)": wiring.url("inventory"),
        "Orders": wiring.url("orders"),
        "Gate (ticketing)": wiring.url("ticketing"),
    }
