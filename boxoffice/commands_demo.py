"""`boxoffice demo`: a flash sale from start to finish in the terminal, with its final sums."""

import asyncio
import json
import random
import time
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from boxoffice.exits import FAILED
from deploy.demo.buyers import Tally
from deploy.demo.run import BUYERS, PLACES, run_sale
from deploy.demo.shop import ShopError
from deploy.demo.stack import PAY_WITHIN_SECONDS, demo_stack
from deploy.demo.sums import Sum

#: Without a terminal, a line of progress this often.
LINE_SECONDS = 2.0


def demo(
    seed: Annotated[int | None, typer.Option(help="Repeats the crowd of an earlier run.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the sums as one JSON object; progress goes to stderr.")
    ] = False,
) -> None:
    """300 buyers, 100 places: some pay, some leave, one pays late, one double-clicks, one sends a price of his own,
    one webhook is lost. Exit code 0 only if every sum holds."""
    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    seed = random.randrange(1_000_000) if seed is None else seed  # noqa: S311 - a name for a run
    console.print(f"A flash sale: {BUYERS} buyers, {PLACES} places, {PAY_WITHIN_SECONDS} seconds to pay (seed {seed}).")
    with demo_stack(lambda line: console.print(Text(f"  {line}", style="dim"))) as stack:
        started = time.monotonic()
        screen = Screen(console)
        try:
            with screen:
                tally, sums = asyncio.run(run_sale(stack, seed=seed, show=screen.show))
        except ShopError as error:
            console.print(f"The sale broke off: {error}", style="red")
            if as_json:
                print(json.dumps({"holds": False, "seed": seed, "broke_off": str(error), "sums": []}))
            raise typer.Exit(FAILED) from None
        seconds = time.monotonic() - started
        _print_sums(console, tally, sums, seconds)
    if as_json:
        print(json.dumps(described(seed, tally, sums)))
    if not all(one.holds for one in sums):
        raise typer.Exit(FAILED)


def described(seed: int, tally: Tally, sums: list[Sum]) -> dict[str, object]:
    """The sale for a program: what happened, and each sum with what is wrong with it."""
    return {
        "holds": all(one.holds for one in sums),
        "seed": seed,
        "asked": tally.asked,
        "came_too_late": tally.sold_out,
        "second_chances": tally.second_chances,
        "done": dict(tally.done),
        "sums": [
            {"promise": one.promise, "text": one.text, "holds": one.holds, "faults": list(one.faults)} for one in sums
        ],
    }


class Screen:
    """Live progress: one picture on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=False, auto_refresh=False) if console.is_terminal else None
        self._line_at = 0.0

    def __enter__(self) -> "Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, tally: Tally, stock: dict[str, int]) -> None:
        """What has happened so far."""
        if self._live:
            self._live.update(_picture(tally, stock), refresh=True)
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_SECONDS
            self._console.print(
                f"  {tally.asked:3} asked, {tally.won:3} got a place, {tally.sold_out:3} came too late | "
                f"{stock['available']:3} available, {stock['held']:3} held, {stock['sold']:3} sold"
            )


def _picture(tally: Tally, stock: dict[str, int]) -> RenderableType:
    width = 60
    total = sum(stock.values()) or 1
    bar = Text("  ")
    for name, colour, mark in (("sold", "green", "█"), ("held", "yellow", "▓"), ("available", "blue", "░")):
        bar.append(mark * round(width * stock[name] / total), style=colour)
    figures = Table(box=None, show_header=False, padding=(0, 2))
    figures.add_row("sold", str(stock["sold"]), "asked", str(tally.asked))
    figures.add_row("held", str(stock["held"]), "got a place", str(tally.won))
    figures.add_row("available", str(stock["available"]), "came too late", str(tally.sold_out))
    ends = ", ".join(f"{count} {kind}" for kind, count in tally.done.most_common())
    return Group(bar, figures, Text(f"  done: {ends}" if ends else "  nobody is done yet", style="dim"))


def _print_sums(console: Console, tally: Tally, sums: list[Sum], seconds: float) -> None:
    console.print(
        f"\nThe sale took {seconds:.0f} s. {tally.asked} asked, {tally.sold_out} came too late, "
        f"{tally.second_chances} of those got a place that came back."
    )
    table = Table(box=None, show_header=False, padding=(0, 1))
    for one in sums:
        table.add_row("[green]holds[/]" if one.holds else "[red]FAILS[/]", one.promise, Text(one.text))
        for fault in one.faults:
            table.add_row("", "", Text(fault, style="red"))
    console.print(table)
    good = all(one.holds for one in sums)
    console.print("Every sum holds." if good else "A sum does not hold.", style="bold green" if good else "bold red")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
