"""`boxoffice order`: one order as every service knows it, and what an operator can do about it."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from boxoffice import audit
from boxoffice.exits import CommandError
from boxoffice.target import Operator, Reply, Target, new_session, said
from shared.contracts.registry import ServiceName
from shared.messaging.topology import durable_consumers

_REFERENCE = re.compile(r"[0-9A-Za-z]{6}")
#: Services that know something of an order, in the order in which they come to hear of it.
TELLERS: tuple[ServiceName, ...] = ("orders", "inventory", "reaper", "payments", "ticketing", "mailer")
assert set(TELLERS) == set(durable_consumers())

order = typer.Typer(help="One order: what it is, what happened to it, and its end.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(help="The order's reference (six characters) or its id.", metavar="ORDER")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option(help="The reason; the buyer reads it.")]


@dataclass(frozen=True)
class Story:
    """An order, what each service tells of it, and which services told nothing, with why."""

    order: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]
    silent: Mapping[str, str]


@order.command()
def show(which: Which, as_json: AsJson = False) -> None:
    """Show an order and its timeline across all services.

    Exit code 1 if there is no such order, 3 if orders does not answer. Another service that does not answer is named,
    and the rest is shown.
    """
    story = asyncio.run(_tell(which))
    if as_json:
        typer.echo(json.dumps({"order": story.order, "timeline": story.entries, "silent": story.silent}))
        return
    console = Console(highlight=False, soft_wrap=True)
    _show_order(console, story.order)
    _show_timeline(console, story.entries)
    for service, why in story.silent.items():
        console.print(f"{service} told nothing: {why}", style="yellow", markup=False)


@order.command()
def cancel(which: Which, as_json: AsJson = False) -> None:
    """Cancel an order that is not paid; its places are free again. Exit code 1 if it has ended otherwise."""
    _act(which, "cancel", None, as_json=as_json)


@order.command()
def refund(which: Which, why: Why = "refunded by the organiser", as_json: AsJson = False) -> None:
    """Give a paid order back: tickets are revoked first, then its money goes back and its places are free again.

    Exit code 1 if the order is not paid.
    """
    _act(which, "refund", {"why": why}, as_json=as_json)


def _act(which: str, action: str, body: Mapping[str, str] | None, *, as_json: bool) -> None:
    changed = asyncio.run(_ask(which, action, body))
    if as_json:
        typer.echo(json.dumps(changed))
    else:
        typer.echo(f"Order {changed.get('reference') or changed['order_id']} is {changed['status']}.")


async def _ask(which: str, action: str, body: Mapping[str, str] | None) -> Mapping[str, Any]:
    async with new_session() as session:
        operator = Operator(Target.find(), session)
        found = await _find(operator, which)
        order_id = str(found["order_id"])
        audit.write_lines(f"order {action}", [{"order_id": order_id, **(body or {})}])
        answer = await operator.ask("POST", "orders", f"/v1/admin/orders/{order_id}/{action}", json=body)
        return dict(said(answer))


async def _tell(which: str) -> Story:
    async with new_session() as session:
        operator = Operator(Target.find(), session)
        found = await _find(operator, which)
        path = f"/v1/admin/orders/{found['order_id']}/timeline"
        told = await asyncio.gather(*(_listen(operator, service, path) for service in TELLERS))
    entries = [{**entry, "service": service} for service, entries, _ in told for entry in entries]
    return Story(
        order=found,
        entries=sorted(entries, key=lambda entry: str(entry["at"])),
        silent={service: why for service, _, why in told if why},
    )


async def _listen(operator: Operator, service: ServiceName, path: str) -> tuple[str, list[Mapping[str, Any]], str]:
    try:
        reply: Reply = await operator.ask("GET", service, path)
        return service, list(said(reply)["entries"]), ""
    except CommandError as error:
        return service, [], str(error)


async def _find(operator: Operator, which: str) -> Mapping[str, Any]:
    """The order by its reference or id. Raises CommandError."""
    if _REFERENCE.fullmatch(which.strip()):
        answer = await operator.get("orders", "/v1/admin/orders", query={"reference": which.strip().upper()})
        found = answer["orders"]
        if not found:
            raise CommandError(f"There is no order {which.strip().upper()}.")
        return dict(found[0])
    try:
        order_id = UUID(which.strip())
    except ValueError:
        raise CommandError(f"{which!r} is neither a reference of six characters nor an order's id.", 2) from None
    return dict(await operator.get("orders", f"/v1/admin/orders/{order_id}"))


def _show_order(console: Console, found: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("order", f"{found.get('reference') or '?'}  {found['order_id']}")
    table.add_row("status", Text(str(found["status"]), style="bold"))
    table.add_row("buyer", Text(str(found.get("email") or "?")))
    if event := found.get("event"):
        table.add_row("event", Text(f"{event['title']}, {event['venue']}, {event['starts_at']}"))
    for line in found.get("lines") or ():
        table.add_row("", Text(f"{line['quantity']} x {line['tier_name']} at {_money(line['price_kobo'], found)}"))
    if found.get("total_kobo") is not None:
        table.add_row("total", _money(found["total_kobo"], found))
    if found.get("tickets"):
        table.add_row("tickets", ", ".join(ticket["code"] for ticket in found["tickets"]))
    for one in found.get("refunds") or ():
        table.add_row("refund", f"{_money(one['amount_kobo'], found)}, {one['purpose']}: {one['status']}")
    console.print(table)


def _money(kobo: int, found: Mapping[str, Any]) -> str:
    return f"{kobo / 100:,.2f} {found.get('currency') or ''}".rstrip()


def _show_timeline(console: Console, entries: Sequence[Mapping[str, Any]]) -> None:
    now = datetime.now(UTC)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("when", "service", "what"):
        table.add_column(heading, no_wrap=heading != "what", overflow="fold")
    for entry in entries:
        moment = datetime.fromisoformat(str(entry["at"])).astimezone(UTC)
        when = moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
        facts = ", ".join(f"{name} {value}" for name, value in entry.get("facts", {}).items())
        what = f"{entry['what']} ({facts})" if facts else str(entry["what"])
        table.add_row(when, entry["service"], Text(f"to come: {what}" if moment > now else what))
    console.print()
    console.print(table)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(order, name="order")
