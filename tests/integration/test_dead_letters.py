"""`boxoffice dead`: what was given up is listed with its reason, replayed with one effect, or thrown away on record."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from boxoffice.cli import app, register_commands
from boxoffice.exits import DONE, FAILED, UNREACHABLE, USAGE, CommandError
from deploy.local.engines import Engines
from deploy.local.ports import choose_free_ports
from shared.contracts.gateway import CheckoutRequestedV1
from shared.contracts.registry import ServiceName
from shared.messaging.cloudevents import CONTENT_TYPE, encode_batches
from shared.messaging.dead_letters import DeadLettersBusy, dead_letters
from shared.messaging.delivery import FAILED_AT_HEADER, REASON_HEADER, TRIES_HEADER
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import Wire, event_of, running
from tests.integration.messaging_support import checkouts, order_ids, orders_are, orders_service
from tests.samples import checkout

TYPE = CheckoutRequestedV1.TYPE
#: More looks than RabbitMQ 4 allows deliveries of a message of a quorum queue.
MANY_LOOKS = 25

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def run(engines: Engines, namespace: str, audit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`await run("list", ...)`: `boxoffice dead list ...` against this test's queues."""
    monkeypatch.setenv("BOXOFFICE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BOXOFFICE_AMQP_URL", engines.amqp_url)
    monkeypatch.setenv("BOXOFFICE_NAMESPACE", namespace)
    monkeypatch.setenv("BOXOFFICE_AUDIT_FILE", str(audit))
    register_commands()

    async def invoke(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["dead", *arguments])

    return invoke


def listed(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == DONE, result.output
    letters: list[dict[str, Any]] = json.loads(result.stdout)
    return letters


def code_of(result: Result) -> int:
    """What the shell would get: CommandError is turned into its code by `boxoffice.cli.main`."""
    return result.exception.code if isinstance(result.exception, CommandError) else result.exit_code


def is_untouched(audit: Path) -> bool:
    return not audit.exists()


def lines(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


async def bury(
    wire: Wire,
    *data: CheckoutRequestedV1,
    service: ServiceName = "orders",
    reason: str = "ZeroDivisionError: it cannot be divided",
    failed_at: str = "2031-01-02T03:04:05+00:00",
    body: bytes | None = None,
    headers: Mapping[str, Any] | None = None,
) -> UUID:
    """A dead letter as the consumer leaves it; returns its message id."""
    message_id = new_id()
    if body is None:
        ((body, _),) = encode_batches([event_of(one) for one in data])
    await wire.publish_raw(
        body,
        exchange="",
        routing_key=wire.topology.dead_queue(service),
        message_type=TYPE,
        message_id=message_id,
        content_type=CONTENT_TYPE,
        headers={REASON_HEADER: reason, FAILED_AT_HEADER: failed_at, TRIES_HEADER: 5, **(headers or {})},
    )
    return message_id


async def test_letters_are_listed_oldest_first_with_reason_and_tries(
    engines: Engines, namespace: str, run: Run
) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        order = checkout()
        late = await bury(wire, checkout(), failed_at="2031-01-03T00:00:00+00:00")
        early = await bury(wire, order, service="inventory", reason="Unreadable: no JSON")
        letters = listed(await run("list", "--json"))
        assert [one["message_id"] for one in letters] == [str(early), str(late)]
        assert letters[0] == {
            "message_id": str(early),
            "service": "inventory",
            "type": TYPE,
            "reason": "Unreadable: no JSON",
            "tries": 5,
            "failed_at": "2031-01-02T03:04:05+00:00",
            "order_ids": [str(order.order_id)],
        }
        table = (await run("list")).stdout
        assert str(early) in table
        assert "2 dead letters" in table


async def test_filters_leave_what_they_name(engines: Engines, namespace: str, run: Run) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        order = checkout()
        wanted = str(await bury(wire, order, reason="Unreadable: no JSON"))
        await bury(wire, checkout(), service="inventory", failed_at="2030-01-01T00:00:00+00:00")
    for arguments in (
        ("--service", "orders"),
        ("--reason", "no json"),
        ("--order", str(order.order_id).upper()),
        ("--since", "2030-06-01"),
    ):
        assert [one["message_id"] for one in listed(await run("list", "--json", *arguments))] == [wanted], arguments
    assert len(listed(await run("list", "--json", "--type", TYPE))) == 2
    assert listed(await run("list", "--json", "--type", "order.paid.v1")) == []


async def test_looking_often_loses_nothing_and_counts_as_no_delivery(
    engines: Engines, namespace: str, run: Run
) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        buried = {await bury(wire, checkout(), headers={"x-kept": number}) for number in range(3)}
        async with dead_letters(engines.amqp_url, namespace) as letters:
            for _ in range(MANY_LOOKS):
                seen = await letters.go_through("orders", lambda _: "keep")
                assert {letter.message_id for letter, _ in seen} == buried
        assert await wire.depth(wire.topology.dead_queue("orders")) == len(buried)
        left = await wire.dead_letters(wire.topology.dead_queue("orders"))
        assert [one.headers.get("x-delivery-count", 0) for one in left] == [0, 0, 0]
        assert {one.headers["x-kept"] for one in left} == {0, 1, 2}


async def test_a_replayed_letter_is_handled_once_and_an_audit_line_says_so(
    engines: Engines, namespace: str, make_database: MakeDatabase, run: Run, audit: Path
) -> None:
    service = orders_service(make_database("orders"), engines.amqp_url, namespace)
    asked = checkouts(2)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        first = await bury(wire, asked[0], headers={"x-suspect": True})
        second = await bury(wire, asked[1])
        again = await run("replay", str(first), "--why", "mended in 1.2.3", "--json")
        assert again.exit_code == DONE, again.output
        assert [one["message_id"] for one in json.loads(again.stdout)["done"]] == [str(first)]
        await orders_are(service, 1)
        assert await order_ids(service) == {asked[0].order_id}
        # The second goes twice: as it would after a crash between the copy's confirm and the acknowledgement.
        await wire.publish_raw(
            (await wire.dead_letters(wire.topology.dead_queue("orders")))[0].body,
            exchange="",
            routing_key=wire.topology.queue("orders"),
            message_type=TYPE,
            message_id=second,
        )
        await orders_are(service, 2)
        await bury_again(wire, asked[1], second)
        assert (await run("replay", "--all")).exit_code == DONE
        probe = checkouts(1)
        await wire.publish(*probe)
        await orders_are(service, 3)
        assert listed(await run("list", "--json")) == []
    (line, _) = lines(audit)
    assert (line["action"], line["message_id"], line["why"]) == ("dead replay", str(first), "mended in 1.2.3")
    assert line["who"]


async def bury_again(wire: Wire, data: CheckoutRequestedV1, message_id: UUID) -> None:
    ((body, _),) = encode_batches([event_of(data)])
    await wire.publish_raw(
        body,
        exchange="",
        routing_key=wire.topology.dead_queue("orders"),
        message_type=TYPE,
        message_id=message_id,
        headers={REASON_HEADER: "once more"},
    )


async def test_a_discarded_letter_is_kept_whole_in_the_audit_line(
    engines: Engines, namespace: str, run: Run, audit: Path
) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        gone = await bury(wire, body=b"no JSON \xff at all")
        kept = await bury(wire, checkout())
        assert code_of(await run("discard", str(gone))) == USAGE, "--why is missing"
        assert (await run("discard", str(gone), "--why", "a foreign producer's")).exit_code == DONE
        assert [one["message_id"] for one in listed(await run("list", "--json"))] == [str(kept)]
    (line,) = lines(audit)
    assert line["action"] == "dead discard"
    assert line["body_base64"] == "bm8gSlNPTiD/IGF0IGFsbA=="
    assert line["headers"][REASON_HEADER].startswith("ZeroDivisionError")


async def test_a_letter_left_twice_by_a_crash_is_one_again(engines: Engines, namespace: str, run: Run) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        await bury(wire, checkout())
        queue = wire.topology.dead_queue("orders")
        (one,) = await wire.dead_letters(queue)
        for _ in range(2):
            await wire.publish_raw(
                one.body,
                exchange="",
                routing_key=queue,
                message_type=one.type,
                message_id=one.message_id,
                headers=dict(one.headers),
            )
        assert len(listed(await run("list", "--json"))) == 1
        assert await wire.depth(queue) == 1


async def test_show_tells_one_letter_whole(engines: Engines, namespace: str, run: Run) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        order = checkout()
        message_id = await bury(wire, order)
    shown = (await run("show", str(message_id)[:-4])).stdout
    assert order.email in shown
    assert "ZeroDivisionError" in shown
    assert code_of(await run("show", "ffffffff")) == FAILED


async def test_what_the_broker_gave_up_says_so(engines: Engines, namespace: str, run: Run) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        ((body, _),) = encode_batches([event_of(checkout())])
        await wire.publish_raw(
            body,
            exchange="",
            routing_key=wire.topology.dead_queue("orders"),
            message_type=TYPE,
            headers={"x-death": [{"reason": "delivery_limit", "count": 1}]},
        )
        (letter,) = listed(await run("list", "--json"))
        assert letter["reason"] == "given up by RabbitMQ: delivery_limit"
        assert letter["tries"] is None


async def test_one_person_at_a_time_goes_through_a_queue(engines: Engines, namespace: str, run: Run) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        await bury(wire, checkout())
        async with (
            dead_letters(engines.amqp_url, namespace) as first,
            dead_letters(engines.amqp_url, namespace) as other,
        ):
            async with first._locked("orders"):
                with pytest.raises(DeadLettersBusy):
                    await other.go_through("orders", lambda _: "discard")
                assert code_of(await run("list")) == FAILED
                assert await other.go_through("inventory", lambda _: "keep") == [], "another queue is free"
            assert len(await other.go_through("orders", lambda _: "keep")) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "--all", "01a21318"),
        ("replay", "--all", "--service", "gateway"),
        ("list", "--service", "nobody"),
        ("list", "--since", "yesterday"),
        ("show", "01"),
        ("show", "not-an-id"),
        ("discard", "--all", "--why", " "),
    ],
)
async def test_a_wrong_command_changes_nothing(
    engines: Engines, namespace: str, run: Run, audit: Path, arguments: tuple[str, ...]
) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        await bury(wire, checkout())
        assert code_of(await run(*arguments)) == USAGE
        assert await wire.depth(wire.topology.dead_queue("orders")) == 1
    assert is_untouched(audit)


async def test_an_id_that_names_several_is_refused(engines: Engines, namespace: str, run: Run, audit: Path) -> None:
    async with Wire(engines.amqp_url, namespace) as wire:
        first, second = [await bury(wire, checkout()) for _ in range(2)]
        shared = str(first)[:8]
        assert str(second).startswith(shared), "ids made in one second begin alike"
        assert code_of(await run("discard", shared, "--why", "all of them?")) == USAGE
        assert await wire.depth(wire.topology.dead_queue("orders")) == 2
    assert is_untouched(audit)


async def test_nothing_is_done_when_no_audit_line_can_be_written(
    engines: Engines, namespace: str, run: Run, audit: Path
) -> None:
    await asyncio.to_thread(audit.mkdir)
    async with Wire(engines.amqp_url, namespace) as wire:
        await bury(wire, checkout())
        assert code_of(await run("discard", "--all", "--why", "none")) == FAILED
        assert await wire.depth(wire.topology.dead_queue("orders")) == 1


async def test_an_absent_broker_is_told_by_the_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = choose_free_ports(1)
    monkeypatch.setenv("BOXOFFICE_AMQP_URL", f"amqp://guest:guest@127.0.0.1:{port}/")
    assert code_of(await run("list")) == UNREACHABLE
