"""`boxoffice dead`: what was given up, why, and what becomes of it."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from boxoffice import audit
from boxoffice.exits import FAILED, UNREACHABLE, USAGE, CommandError
from boxoffice.target import Target
from shared.contracts.registry import ServiceName
from shared.messaging.dead_letters import (
    BrokerAway,
    DeadLetter,
    DeadLetters,
    DeadLettersBusy,
    Fate,
    age_order,
    dead_letters,
)
from shared.messaging.topology import durable_consumers

#: Characters of a message's id that name it, at the least.
LEAST_ID = 6
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

dead = typer.Typer(
    help="Dead letters: messages whose handling was given up. Nobody loses by one at once, since whoever waits asks "
    "again; each is worth a look all the same.",
    no_args_is_help=True,
)

Service = Annotated[str | None, typer.Option(help="Only those of this service.", metavar="SERVICE")]
Type = Annotated[str | None, typer.Option("--type", help="Only this message type, as in order.paid.v1.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason contains this text.")]
Order = Annotated[str | None, typer.Option(help="Only those that speak of this order (its id).")]
Since = Annotated[str | None, typer.Option(help="Only those given up since then: a time, or a span as in 30m, 2h, 3d.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Message ids, or their first characters.", metavar="[ID]...")]
EveryOne = Annotated[bool, typer.Option("--all", help="All that the filters leave.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Choice:
    """Which dead letters a command is about."""

    services: tuple[ServiceName, ...]
    type: str | None = None
    reason: str | None = None
    order: str | None = None
    since: datetime | None = None
    ids: tuple[str, ...] = ()

    def has(self, letter: DeadLetter) -> bool:
        """Whether a letter is among them."""
        return (
            (self.type is None or letter.type == self.type)
            and (self.reason is None or self.reason.lower() in letter.reason.lower())
            and (self.order is None or self.order in letter.order_ids)
            and (self.since is None or (letter.failed_at is not None and letter.failed_at >= self.since))
            and (not self.ids or any(str(letter.message_id).startswith(one) for one in self.ids))
        )


@dead.command("list")
def list_letters(
    service: Service = None,
    message_type: Type = None,
    reason: Reason = None,
    order: Order = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters with their reasons, oldest first. Exit code 0, also when there is none."""
    letters = _find(_choose(service, message_type, reason, order, since, ()))
    if as_json:
        typer.echo(json.dumps([_facts(letter) for letter in letters], default=str))
        return
    console = Console(highlight=False)
    if not letters:
        console.print("No dead letters.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("id", no_wrap=True)
    for heading in ("service", "type", "tries", "given up", "reason"):
        table.add_column(heading, overflow="fold")
    for one in letters:
        when = one.failed_at.isoformat(sep=" ", timespec="seconds") if one.failed_at else "?"
        tries = "?" if one.tries is None else str(one.tries)
        table.add_row(str(one.message_id), one.service, one.type, tries, when, one.reason)
    console.print(table)
    console.print(
        f"{len(letters)} dead letters. `boxoffice dead show ID` shows one, `dead replay ID` has it handled again."
    )


@dead.command()
def show(
    message_id: Annotated[str, typer.Argument(help="The message's id, or its first characters.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter whole: its reason, its headers, what it says. Exit code 1 when there is none of this id."""
    letters = _find(_choose(None, None, None, None, None, (message_id,)))
    if not letters:
        raise CommandError(f"There is no dead letter {message_id}.")
    if as_json:
        typer.echo(json.dumps([_whole(letter) for letter in letters], default=str))
        return
    console = Console(highlight=False, soft_wrap=True)
    for letter in letters:
        for name, value in _facts(letter).items():
            console.print(f"{name:12} {value}", markup=False)
        console.print(json.dumps(letter.document, indent=2), markup=False)


@dead.command()
def replay(
    ids: Ids = None,
    service: Service = None,
    message_type: Type = None,
    reason: Reason = None,
    order: Order = None,
    since: Since = None,
    every_one: EveryOne = False,
    why: Annotated[str, typer.Option(help="Kept in the audit line.")] = "",
    as_json: AsJson = False,
) -> None:
    """Have dead letters handled again, under their own ids: what had its effect meanwhile has none a second time.

    Exit code 0 if all that were named went back to their queues, 1 if one was not found.
    """
    choice = _choose_some(ids, service, message_type, reason, order, since, every_one=every_one)
    _act(choice, "replay", why, as_json=as_json)


@dead.command()
def discard(
    ids: Ids = None,
    service: Service = None,
    message_type: Type = None,
    reason: Reason = None,
    order: Order = None,
    since: Since = None,
    every_one: EveryOne = False,
    why: Annotated[str, typer.Option(help="Kept in the audit line; required.")] = "",
    as_json: AsJson = False,
) -> None:
    """Throw dead letters away. The audit line keeps each whole. Exit code 1 if one that was named was not found."""
    if not why.strip():
        raise CommandError("Say --why: it is kept in the audit line.", USAGE)
    choice = _choose_some(ids, service, message_type, reason, order, since, every_one=every_one)
    _act(choice, "discard", why, as_json=as_json)


def _choose(
    service: str | None,
    message_type: str | None,
    reason: str | None,
    order: str | None,
    since: str | None,
    ids: Sequence[str],
) -> Choice:
    services = durable_consumers()
    if service is not None and service not in services:
        raise CommandError(f"There is no service {service!r} with dead letters: {', '.join(services)}.", USAGE)
    for one in ids:
        if len(one) < LEAST_ID or not re.fullmatch(r"[0-9a-fA-F-]{1,36}", one):
            raise CommandError(f"{one!r} is no message id: give at least {LEAST_ID} of its characters.", USAGE)
    return Choice(
        (service,) if service else services,
        message_type,
        reason,
        order.lower() if order else None,
        read_since(since, datetime.now(UTC)) if since else None,
        tuple(one.lower() for one in ids),
    )


def _choose_some(
    ids: Sequence[str] | None,
    service: str | None,
    message_type: str | None,
    reason: str | None,
    order: str | None,
    since: str | None,
    *,
    every_one: bool,
) -> Choice:
    if bool(ids) == every_one:
        raise CommandError("Name message ids, or say --all, with filters if you like.", USAGE)
    return _choose(service, message_type, reason, order, since, ids or ())


def read_since(text: str, now: datetime) -> datetime:
    """A time (ISO 8601, UTC unless it says otherwise), or a span before now. Raises CommandError."""
    if span := _SPAN.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError(f"{text!r} is neither a time nor a span as in 30m, 2h or 3d.", USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _find(choice: Choice) -> list[DeadLetter]:
    gone_through = _go_through(choice, lambda _: "keep")
    found = [letter for letter, _ in gone_through if choice.has(letter)]
    return sorted(found, key=age_order)


def _act(choice: Choice, action: Fate, why: str, *, as_json: bool) -> None:
    chosen = _find(choice)
    _refuse_ambiguous(choice, chosen)
    facts = _whole if action == "discard" else _facts
    audit.write_lines(f"dead {action}", [{**facts(letter), "why": why} for letter in chosen])
    # Those that were found, and no other that came since.
    keys = {(letter.service, letter.message_id) for letter in chosen}

    def decide(letter: DeadLetter) -> Fate:
        return action if (letter.service, letter.message_id) in keys else "keep"

    done = [letter for letter, fate in _go_through(choice, decide) if fate == action]
    missing = [one for one in choice.ids if not any(str(letter.message_id).startswith(one) for letter in done)]
    if as_json:
        outcome = {"action": action, "done": [_facts(one) for one in done], "missing": missing}
        typer.echo(json.dumps(outcome, default=str))
    else:
        verb = "went back to their queues" if action == "replay" else "are thrown away"
        typer.echo(f"{len(done)} dead letters {verb}. Audit lines: {audit.audit_file()}")
        for one in missing:
            typer.echo(f"There is no dead letter {one}.", err=True)
    if missing:
        raise typer.Exit(FAILED)


def _refuse_ambiguous(choice: Choice, letters: Sequence[DeadLetter]) -> None:
    for one in choice.ids:
        ids = {str(letter.message_id) for letter in letters if str(letter.message_id).startswith(one)}
        if len(ids) > 1:
            raise CommandError(f"{len(ids)} dead letters begin with {one}: give more of the id.", USAGE)


def _go_through(choice: Choice, decide: Callable[[DeadLetter], Fate]) -> list[tuple[DeadLetter, Fate]]:
    async def work(letters: DeadLetters) -> list[tuple[DeadLetter, Fate]]:
        return [one for service in choice.services for one in await letters.go_through(service, decide)]

    async def run() -> list[tuple[DeadLetter, Fate]]:
        target = Target.find()
        async with dead_letters(target.broker(), target.namespace) as letters:
            return await work(letters)

    try:
        return asyncio.run(run())
    except BrokerAway as error:
        raise CommandError(str(error), UNREACHABLE) from error
    except DeadLettersBusy as error:
        raise CommandError(str(error)) from error


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "message_id": str(letter.message_id),
        "service": letter.service,
        "type": letter.type,
        "reason": letter.reason,
        "tries": letter.tries,
        "failed_at": letter.failed_at.isoformat() if letter.failed_at else None,
        "order_ids": list(letter.order_ids),
    }


def _whole(letter: DeadLetter) -> dict[str, Any]:
    return {
        **_facts(letter),
        "content_type": letter.content_type,
        "headers": dict(letter.headers),
        "document": letter.document,
        "body_base64": base64.b64encode(letter.body).decode(),
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(dead, name="dead")
