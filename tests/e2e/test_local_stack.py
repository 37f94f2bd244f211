"""One command starts everything, another ends it, and nothing stays behind however it ended."""

import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.plan import PORTS
from deploy.local.state import PROJECT
from shared.contracts.registry import SERVICES
from tests.e2e.local_stack import LocalStackUnderTest, free_offset
from tests.harness import Note
from tests.processes import LOOPBACK, listening_addresses, processes_of
from tests.waiting import until

pytestmark = pytest.mark.timeout(480)
#: What a start says on its way, in this order.
MOMENTS = ("Starting PostgreSQL", "Starting RabbitMQ", "Preparing the databases", "Starting the services")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a space, as on many a desktop, that the engines' own user may pass through."""
    made = Path(tempfile.mkdtemp(prefix="boxoffice-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[LocalStackUnderTest]:
    """A whole stack, ready, with a second replica of inventory."""
    made = LocalStackUnderTest(folder / "first stack", free_offset())
    said = made.command("up", "--detach", "--replicas", "inventory=2")
    try:
        for words in (made.url("gateway"), "Demo event", "Token of the organiser", "`boxoffice down` stops it"):
            assert words in said
        yield made
    finally:
        made.command("down")
        assert processes_of(made.state) == []


def test_nobody_else_reads_what_the_stack_keeps(stack: LocalStackUnderTest) -> None:
    for folder in ("logs", "pids", "rabbitmq"):
        assert stat.S_IMODE((stack.state / folder).stat().st_mode) == 0o700
    for file in ("secrets.json", "stack.json", "sandbox.sqlite", "catcher.data"):
        assert stat.S_IMODE((stack.state / file).stat().st_mode) == 0o600


def test_every_process_is_ready_and_named(stack: LocalStackUnderTest) -> None:
    status = stack.status()
    assert status["ready"] is True
    expected = {*SERVICES, "inventory-1", "sandbox", "catcher", "postgres", "rabbitmq"}
    assert {process["name"] for process in status["processes"]} == expected
    assert {process["state"] for process in status["processes"]} == {"ready"}
    assert "ready" in stack.command("status")


def test_everything_listens_on_this_machine_only(stack: LocalStackUnderTest) -> None:
    launcher = psutil.Process(stack.status()["pid"])
    found = [*processes_of(stack.state), *launcher.children(recursive=True)]
    addresses = listening_addresses(found)
    assert {address for address, _ in addresses} <= LOOPBACK
    ports = {port for _, port in addresses}
    assert {port + stack.offset for port in PORTS.values()} <= ports
    # And PostgreSQL, AMQP, the broker's distribution port, its epmd.
    assert len(ports) == len(PORTS) + 1 + 4


def test_demo_event_is_for_sale(stack: LocalStackUnderTest) -> None:
    catalogue = _get_json(f"{stack.url('gateway')}/v1/events")
    assert [len(event["tiers"]) for event in catalogue["events"]] == [3]


def test_second_up_says_it_is_running(stack: LocalStackUnderTest) -> None:
    said = stack.command("up")
    assert "already running" in said
    assert stack.url("gateway") in said


def test_a_program_is_told_where_everything_is(stack: LocalStackUnderTest) -> None:
    said = json.loads(stack.command("up", "--json"))
    assert said["already_running"] is True
    assert said["urls"]["gateway"] == stack.url("gateway")
    assert said["event_id"] == _demo_event(stack)
    asked = urllib.request.Request(
        f"{said['urls']['orders']}/v1/admin/orders?reference=222222",
        headers={"Authorization": f"Bearer {said['tokens']['operator']}"},
    )
    with urllib.request.urlopen(asked, timeout=10) as response:
        assert json.load(response)["orders"] == []


@pytest.mark.parametrize(("language", "command"), [("sh", ["sh"]), ("python", [sys.executable])])
def test_the_readme_buys_tickets(stack: LocalStackUnderTest, tmp_path: Path, language: str, command: list[str]) -> None:
    """Run as they stand, but for the moved ports, in an empty folder."""
    assert language != "sh" or shutil.which("curl"), "this test needs curl"
    said = subprocess.run(
        [*command, "-"], input=readme_example(stack, language), cwd=tmp_path, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert re.search(r"\b[2-9A-HJKMNP-Z]{6}-002-[0-9a-f]{8}$", said.stdout.strip()), said


def test_an_operator_sees_an_order_across_all_services(stack: LocalStackUnderTest) -> None:
    said = subprocess.run(
        [sys.executable, "-"], input=readme_example(stack, "python"), capture_output=True, text=True, timeout=90,
        check=True,
    )  # fmt: skip
    order_id, code, _ = said.stdout.split()
    by_reference = json.loads(stack.command("order", "show", code[:6].lower(), "--json"))
    assert by_reference["order"]["order_id"] == order_id
    assert by_reference["silent"] == {}
    told: dict[str, list[str]] = {entry["service"]: [] for entry in by_reference["timeline"]}
    for entry in by_reference["timeline"]:
        told[entry["service"]].append(entry["what"])
    assert set(told) >= {"orders", "inventory", "reaper", "payments", "ticketing", "mailer"}
    assert told["orders"] == ["the order was made", "the order is paid"]
    assert told["inventory"] == ["places were held", "its places are sold"]
    assert "a charge was entered" in told["payments"]
    assert told["ticketing"] == ["tickets were issued"]
    moments = [entry["at"] for entry in by_reference["timeline"]]
    assert moments == sorted(moments)
    shown = stack.command("order", "show", order_id)
    assert code in shown
    assert "to come: the time to pay is over" in shown
    assert "is paid" in stack.command("order", "cancel", order_id, expect=1)
    stack.command("order", "show", "222222", expect=1)
    stack.command("order", "show", "no order", expect=2)


def test_status_says_what_waits_for_a_person(stack: LocalStackUnderTest) -> None:
    attention = stack.status()["attention"]
    assert attention == {"dead_letters": {}, "unsent": {}, "open_cases": 0, "unknown": {}}
    assert json.loads(stack.command("dead", "list", "--json")) == []


def readme_example(stack: LocalStackUnderTest, language: str) -> str:
    """The README's example in this language, with this stack's ports."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for name in ("gateway", "sandbox"):
        assert f"http://127.0.0.1:{PORTS[name]}" in block
        block = block.replace(f"http://127.0.0.1:{PORTS[name]}", stack.url(name))
    return str(block)


@pytest.mark.parametrize("name", ["reaper", "postgres", "rabbitmq"])
async def test_killed_process_is_started_again(stack: LocalStackUnderTest, name: str) -> None:
    before = _process(stack, name)
    if before["pid"] is None:
        pytest.skip("this engine is not our process")
    psutil.Process(before["pid"]).kill()

    def again() -> bool:
        now = _process(stack, name)
        return bool(now["pid"] != before["pid"] and now["restarts"] == 1 and stack.status()["ready"])

    await until(again, 60, f"{name} runs again and everything is ready")
    assert f"{name} ended" in (stack.state / "logs" / "launcher.log").read_text()


async def test_start_stopped_at_any_moment_leaves_nothing_and_the_next_one_works(
    stack: LocalStackUnderTest, folder: Path, note: Note
) -> None:
    """The second stack's first starts are stopped on their way; then it runs beside the first and its launcher dies."""
    other = LocalStackUnderTest(folder / "second stack", free_offset())
    seed = int(os.environ.get("BOXOFFICE_SEED") or random.randrange(10**6))
    ends = random.Random(seed)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]
    ends.shuffle(numbers)
    for moment, number in zip(MOMENTS, numbers, strict=True):
        # Whoever is impatient starts again before the guard of the killed launcher has done its work.
        patient = ends.random() < 0.5
        note(f"start stopped at {moment!r} by {number.name}{' (patiently)' * patient}, seed {seed}")
        _stop_at(moment, number, other)
        # `make run` begins with a look, and must not take what was left for somebody else's.
        assert _look(other) == "", moment
        if patient or number != signal.SIGKILL:
            await until(lambda: processes_of(other.state) == [], 60, f"nothing is left of {moment!r}")

    other.command("up", "--detach")
    event_id = _demo_event(other)
    left = psutil.Process(other.status()["pid"]).children(recursive=True)
    assert len(left) >= len(SERVICES) + 4
    psutil.Process(other.status()["pid"]).kill()
    assert psutil.wait_procs(left, timeout=60)[1] == []
    assert processes_of(other.state) == []
    other.command("status", expect=3)

    said = json.loads(other.command("up", "--detach", "--json").splitlines()[-1])
    assert (said["event_id"], said["already_running"]) == (event_id, False)
    assert _demo_event(other) == event_id, "the data outlived the kill"
    assert stack.status()["ready"] is True, "the first stack noticed nothing"
    assert json.loads(other.command("down", "--json")) == {"stopped": True, "leftovers": []}
    assert processes_of(other.state) == []
    assert "Nothing is running" in other.command("down")


def _look(stack: LocalStackUnderTest) -> str:
    command = [sys.executable, "-m", "deploy.machine", "--problems"]
    done = subprocess.run(command, env=stack.environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    return "".join(line for line in done.stdout.splitlines(keepends=True) if line.startswith("PROBLEM"))


def _stop_at(moment: str, number: signal.Signals, stack: LocalStackUnderTest) -> None:
    launcher = stack.start("up")
    assert launcher.stdout is not None
    with launcher.stdout as output:
        said = next((line for line in output if moment in line), None)
        assert said is not None, f"the start ended before {moment!r}"
        launcher.send_signal(number)
        said = output.read() if number != signal.SIGKILL else ""
    assert launcher.wait(60) == (-number if number == signal.SIGKILL else 130)
    assert number == signal.SIGKILL or "Stopped before everything was up" in said
    assert "Traceback" not in said


def test_demo_that_is_stopped_takes_its_stack_along(folder: Path) -> None:
    stack = LocalStackUnderTest(folder / "stopped demo", free_offset())
    demo = stack.start("demo")
    assert demo.stdout is not None
    with demo.stdout as output:
        assert any("Starting RabbitMQ" in line for line in output)
        demo.terminate()
        assert "Stopping everything" in output.read()
    assert demo.wait(60) != 0
    assert processes_of(stack.state) == []
    assert not list(stack.state.glob("demo-*"))


def test_taken_port_is_named_before_anything_starts(folder: Path) -> None:
    stack = LocalStackUnderTest(folder / "no port", free_offset())
    port = PORTS["gateway"] + stack.offset
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", port))
        intruder.listen()
        said = stack.command("up", expect=1)
    assert f"Port {port} (gateway) is taken" in said
    assert str(psutil.Process().pid) in said
    assert "BOXOFFICE_PORT_OFFSET" in said
    assert "Starting PostgreSQL" not in said


def test_service_that_refuses_its_settings_ends_the_start_in_words(folder: Path) -> None:
    stack = LocalStackUnderTest(folder / "wrong setting", free_offset())
    done = subprocess.run(
        stack.start_command("up"),
        env={**stack.environment, "ORDERS_PAY_WITHIN_SECONDS": "soon"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "orders refuses its settings" in done.stderr
    assert "ORDERS_PAY_WITHIN_SECONDS" in done.stderr
    assert processes_of(stack.state) == []


def _process(stack: LocalStackUnderTest, name: str) -> dict[str, Any]:
    (found,) = [process for process in stack.status()["processes"] if process["name"] == name]
    return dict(found)


def _demo_event(stack: LocalStackUnderTest) -> str:
    (event,) = _get_json(f"{stack.url('inventory')}/v1/events")["events"]
    return str(event["id"])


def _get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return dict(json.load(response))
