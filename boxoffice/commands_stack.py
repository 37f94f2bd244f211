"""`up`, `down`, `status`, `run`, `migrate`: the local stack from the command line."""

import asyncio
import json
import os
from typing import Annotated

import typer

from boxoffice import detached, reports
from boxoffice.attention import Attention, look_around
from boxoffice.exits import FAILED, INTERRUPTED, UNREACHABLE
from boxoffice.service import run_service
from boxoffice.target import Target
from deploy.local.engines import start_engines
from deploy.local.errors import LocalError
from deploy.local.plan import read_replicas
from deploy.local.processes import end_leftovers
from deploy.local.provisioning import migrate as migrate_databases
from deploy.local.stack import AlreadyRunning, LocalStack, Summary
from deploy.local.state import StateFolder
from shared.contracts.registry import SERVICES

Replicas = Annotated[
    list[str] | None,
    typer.Option(
        envvar="BOXOFFICE_REPLICAS",
        metavar="SERVICE=N",
        help="How many of a service, as in inventory=3. May be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def up(
    replicas: Replicas = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is ready.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="When ready, print one JSON object: addresses, tokens, event. The rest: stderr."),
    ] = False,
) -> None:
    """Start engines, services, the Paystack sandbox and the mail catcher. Ctrl-C stops all of it.

    Exit code 0 also if it runs already; 1 if it cannot start; 130 if stopped before everything was up.
    """
    state = StateFolder.from_environment()
    wanted = read_replicas(replicas or [])
    report = reports.Progress(as_json=as_json)

    def ready(summary: Summary) -> None:
        report.ready(summary)
        if as_json:
            reports.print_stack(state)

    try:
        if detach:
            detached.start(state, replicas or [], report)
            if as_json:
                reports.print_stack(state)
            return
        with report:
            LocalStack(state, wanted, say=report.say).run(ready)
    except AlreadyRunning:
        if as_json:
            reports.print_stack(state, already_running=True)
        else:
            reports.show_already_running(state)
    except KeyboardInterrupt:
        report.say("Stopped before everything was up.")
        raise typer.Exit(INTERRUPTED) from None


def down(as_json: AsJson = False) -> None:
    """Stop the stack of this project, and whatever an interrupted one has left. Nothing to stop is no error."""
    state = StateFolder.from_environment()
    stopped = state.marked and detached.stop(state)
    leftovers = [] if stopped or not state.marked else _end_leftovers(state)
    if as_json:
        typer.echo(json.dumps({"stopped": stopped, "leftovers": leftovers}))
    elif stopped:
        typer.echo("Everything is stopped.")
    else:
        typer.echo(f"Ended what was left: {', '.join(leftovers)}." if leftovers else "Nothing is running.")


def _end_leftovers(state: StateFolder) -> list[str]:
    with state.lock() as ours:
        if not ours:
            raise LocalError(
                "Another `boxoffice up` or `boxoffice migrate` is at work in this state folder; try again."
            )
        return end_leftovers(state)


def status(as_json: AsJson = False) -> None:
    """Show each process, and what waits for a person: dead letters, open cases of money, messages that are not sent.

    Exit code 0 if all processes are ready, 1 if one is not, 3 if the stack is not running.
    """
    states = reports.look(StateFolder.from_environment())
    attention = asyncio.run(look_around(Target.find())) if states.running else Attention()
    if as_json:
        typer.echo(json.dumps({**states.to_json(), "attention": attention.to_json()}))
    else:
        states.show()
        for line in attention.lines():
            typer.echo(line)
    if not states.running:
        raise typer.Exit(UNREACHABLE)
    if not states.all_ready:
        raise typer.Exit(FAILED)


def run(
    service: Annotated[
        str, typer.Argument(help="The service's name, as in orders.", autocompletion=lambda: list(SERVICES))
    ],
) -> None:
    """Run one service in the foreground, with the settings of the environment, until SIGTERM.

    It writes JSON logs to stdout, one object a line, and takes no --json. Exit code 0: drained; 2: no such service, or
    a setting is wrong.
    """
    raise typer.Exit(run_service(service))


def migrate(as_json: AsJson = False) -> None:
    """Make and migrate every service's database, on the given or on our own PostgreSQL. Idempotent."""
    state, report = StateFolder.from_environment(), reports.Progress(as_json=as_json)
    state.create()
    with state.lock() as ours:
        if not ours:
            raise LocalError("The stack is running, and migrated its databases when it started.")
        engines = start_engines(state, durable=True, needed=["postgres"], progress=report.say)
        try:
            urls = migrate_databases(state, engines, os.environ, report.say)
        finally:
            engines.stop()
    typer.echo(json.dumps({"migrated": list(urls)}) if as_json else f"Migrated: {', '.join(urls)}.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, down, status, run, migrate):
        app.command()(command)
