"""`boxoffice mail`: what was mailed about an order, what was refused, and sending it again."""

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from boxoffice.exits import USAGE, CommandError
from boxoffice.target import Operator, Target, new_session, said

mail = typer.Typer(
    help="Mail: what was sent about an order, what was refused, and sending it again.", no_args_is_help=True
)

Order = Annotated[str | None, typer.Option(help="All mails of this order: its id, or its six characters.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mail, name="mail")


@mail.command("list")
def list_mails(order: Order = None, as_json: AsJson = False) -> None:
    """List the mails of an order; without one, those that were given up and not sent again since."""
    mails = asyncio.run(_list(order))
    if as_json:
        print(json.dumps(mails))
        return
    _show(mails, "No mail was given up." if order is None else "Nothing was mailed about this order.")


@mail.command()
def resend(
    mail_id: Annotated[
        str | None, typer.Argument(help="The mail's id, as `mail list` shows it.", metavar="[ID]")
    ] = None,
    order: Annotated[str | None, typer.Option(help="Instead of an id: every mail of this order that failed.")] = None,
    to: Annotated[str | None, typer.Option(help="To this address; to where it went last, if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a mail again. Exit code 1 when there is no such mail, or none of the order's has failed."""
    if (mail_id is None) == (order is None):
        raise CommandError("Give a mail's id, or --order.", USAGE)
    mails = asyncio.run(_resend(mail_id, order, to))
    if as_json:
        print(json.dumps(mails))
    else:
        for one in mails:
            print(f"{one['kind']}: on its way to {one['email']} (sending {one['sending']})")


async def _list(order: str | None) -> list[dict[str, Any]]:
    async with new_session() as session:
        operator = Operator(Target.find(), session)
        return await _mails(operator, await _order_id(operator, order) if order is not None else None)


async def _mails(operator: Operator, order_id: UUID | None) -> list[dict[str, Any]]:
    query = {"status": "failed"} if order_id is None else {"order_id": str(order_id)}
    answer = await operator.get("mailer", "/v1/admin/mails", query=query)
    return list(answer["mails"])


async def _order_id(operator: Operator, order: str) -> UUID:
    try:
        return UUID(order)
    except ValueError:
        answer = await operator.get("orders", "/v1/admin/orders", query={"reference": order})
    if not answer["orders"]:
        raise CommandError(f"There is no order {order}.")
    return UUID(answer["orders"][0]["order_id"])


async def _resend(mail_id: str | None, order: str | None, to: str | None) -> list[dict[str, Any]]:
    async with new_session() as session:
        operator = Operator(Target.find(), session)
        if order is None:
            wanted = [str(mail_id)]
        else:
            mails = await _mails(operator, await _order_id(operator, order))
            wanted = failed_among(mails)
            if not wanted:
                raise CommandError("No mail of this order has failed.")
        body = {} if to is None else {"email": to}
        return [
            said(await operator.ask("POST", "mailer", f"/v1/admin/mails/{one}/resend", json=body)) for one in wanted
        ]


def failed_among(mails: list[dict[str, Any]]) -> list[str]:
    """The ids of mails whose last sending failed."""
    last: dict[str, dict[str, Any]] = {}
    for one in mails:
        known = last.setdefault(one["mail_id"], one)
        if one["sending"] > known["sending"]:
            last[one["mail_id"]] = one
    return [one["id"] for one in last.values() if one["status"] == "failed"]


def _show(mails: list[dict[str, Any]], nothing: str) -> None:
    if not mails:
        print(nothing)
        return
    table = Table("mail", "order", "kind", "to", "status", "tries", "since", "last error", box=None, pad_edge=False)
    for one in mails:
        status = one["status"] if one["sending"] == 1 else f"{one['status']} (sending {one['sending']})"
        table.add_row(
            one["id"], one["order_id"], one["kind"], one["email"], status, str(one["tries"]),
            (one["ended_at"] or one["created_at"])[:19], one["last_error"] or "",
        )  # fmt: skip
    Console(soft_wrap=True).print(table)
