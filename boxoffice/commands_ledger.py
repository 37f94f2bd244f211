"""`boxoffice ledger`: whether every kobo is covered once; `boxoffice case close`: what only a person can say."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from boxoffice.exits import FAILED, UNREACHABLE, CommandError
from boxoffice.target import Operator, Target, new_session, said

_WIDE = 200
_PATIENCE_SECONDS = 180.0
_TERMS = ("captured", "ticketed", "refunded", "settled", "open")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))

case = typer.Typer(help="Open cases of money.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ledger)
    app.add_typer(case, name="case")


def ledger(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print captured = ticketed + refunded + settled + open, per event and in all, and every open case.

    Exit code 0: every sum holds (open cases are sums that hold); 1: a sum is off; 3: nobody answers.
    """
    document = asyncio.run(_read(Target.find()))
    if as_json:
        typer.echo(json.dumps(document))
    else:
        # Into a file or a pipe a row is one line, whatever its length.
        show(document, Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE))
    if not document["holds"]:
        raise typer.Exit(FAILED)


@case.command("close")
def close(
    case_id: Annotated[str, typer.Argument(help="The case's id, as `boxoffice ledger` prints it.")],
    reason: Annotated[str, typer.Option(help="What became of the money; kept for ever.", prompt=True)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Close a case that no service can, with a reason. Its money counts as settled from then on."""
    asyncio.run(_close(Target.find(), case_id, reason))
    typer.echo(json.dumps({"case_id": case_id, "closed": True, "reason": reason}) if as_json else f"Closed: {case_id}.")


async def _read(target: Target) -> dict[str, Any]:
    # The sums read every charge there is, and must not be cut off.
    async with new_session(_PATIENCE_SECONDS) as session:
        reply = await Operator(target, session).ask("GET", "payments", "/v1/admin/ledger")
    if reply.status != 200:
        # Not 1: that a ledger could not be read says nothing about its sums.
        detail = reply.body.get("detail") if isinstance(reply.body, dict) else None
        raise CommandError(f"the ledger cannot be read: {detail or reply.status}", UNREACHABLE)
    return dict(reply.body)


async def _close(target: Target, case_id: str, reason: str) -> None:
    async with new_session() as session:
        path = f"/v1/admin/cases/{quote(case_id, safe='')}/close"
        said(await Operator(target, session).ask("POST", "payments", path, json={"reason": reason}))


def show(document: Mapping[str, Any], console: Console) -> None:
    """The ledger as tables."""
    sums = Table(box=None, padding=(0, 2, 0, 0))
    sums.add_column("")
    for name in (*_TERMS, "fees"):
        sums.add_column(name, justify="right")
    for row in document["events"]:
        sums.add_row(row["title"] or "no event", *_amounts(row))
    for row in document["currencies"]:
        sums.add_row(f"all, in {row['currency']}", *_amounts(row), style="bold")
    if not document["currencies"]:
        sums.add_row("no charge yet")
    console.print(sums)
    if document["cases"]:
        console.print(f"\n{len(document['cases'])} open cases, the oldest first:", style="bold")
        for row in document["cases"]:
            amount = _amount(row["amount_kobo"], row["currency"])
            line = f"  {_age(row['age_seconds'])}  {amount}  {row['case_id']}  (order {row['order_id'] or 'unknown'})"
            console.print(line, markup=False)
            console.print(f"      {row['what_to_do']}", style="dim", markup=False)
    console.print()
    for check in document["checks"]:
        console.print(f"{'holds' if check['holds'] else 'IS OFF'}: {check['name']}", markup=False)
        for fault in check["faults"]:
            console.print(f"    {fault}", style="red", markup=False)


def _amounts(row: Mapping[str, Any]) -> list[str]:
    return [_amount(row[f"{name}_kobo"], row["currency"]) for name in (*_TERMS, "fees")]


def _amount(kobo: int, currency: str) -> str:
    whole, part = divmod(abs(kobo), 100)
    return f"{'-' if kobo < 0 else ''}{currency} {whole:,}.{part:02}"


def _age(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"
