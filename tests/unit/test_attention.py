"""What `boxoffice status` says needs a person."""

from prometheus_client import generate_latest

from boxoffice.attention import Attention, add_up
from shared.runtime.metrics import Metrics


def test_figures_are_added_up_over_their_labels() -> None:
    page = 'payments_open_cases{kind="mismatch"} 2.0\npayments_open_cases{kind="unknown_reference"} 3.0\nother 1.5\n'
    assert add_up(page) == {"payments_open_cases": 5.0, "other": 1.5}


def test_the_names_it_reads_are_those_that_services_write() -> None:
    metrics = Metrics()
    metrics.backlog(7, 31.0)
    figures = add_up(generate_latest(metrics.registry).decode())
    assert (figures["boxoffice_outbox_pending"], figures["boxoffice_outbox_oldest_seconds"]) == (7.0, 31.0)


def test_each_thing_is_told_with_the_command_that_shows_more() -> None:
    attention = Attention(
        dead_letters={"orders": 1}, open_cases=2, unsent={"inventory": 5}, unknown={"Dead letters": "no answer"}
    )
    assert list(attention.lines()) == [
        "1 dead letter of orders: boxoffice dead list --service orders",
        "2 open cases of money: boxoffice ledger",
        "5 messages of inventory wait to be sent, the oldest over 30 s",
        "Dead letters could not be looked at: no answer",
    ]


def test_where_all_is_well_nothing_is_said() -> None:
    assert list(Attention().lines()) == []
