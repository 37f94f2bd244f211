"""The sandbox as a process: it starts or says why not, ends when asked, and forgets nothing when killed."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.integration.sandbox_support import KEY, WAIT_SECONDS, Sandbox, receiving


async def start(**settings: str) -> asyncio.subprocess.Process:
    """Start the real process with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.sandbox",
        env={**environment, "SANDBOX_PORT": "0", **settings},
        stdout=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(**settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Sandbox]]:
    """Run the real process until the block ends."""
    process = await start(**settings)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            url = json.loads(await process.stdout.readline())["url"]
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {KEY}"}) as http:
            yield process, Sandbox(url, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_PORT", "eighty"),
        ("SANDBOX_PORT", "70000"),
        ("SANDBOX_SECRET_KEY", "short"),
        ("SANDBOX_WEBHOOK_URL", "ftp://shop"),
        ("SANDBOX_PUBLIC_URL", "shop"),
        ("SANDBOX_UNKNOWN_REFERENCE_STATUS", "500"),
        ("SANDBOX_RATE_LIMIT_PER_MINUTE", "many"),
        ("SANDBOX_WEBHOOK_RETRY_SECONDS", "1,soon"),
        ("SANDBOX_REFUND_SECONDS", "-1"),
    ],
)
async def test_wrong_setting_refuses_to_start_and_is_named(name: str, value: str) -> None:
    process = await start(**{name: value})
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 2
    assert json.loads(output.splitlines()[0])["setting"] == name


async def test_taken_port_and_impossible_file_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = await start(SANDBOX_PORT=port)
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
        assert process.returncode == 1
        assert f"SANDBOX_PORT {port}" in output.decode()
    process = await start(SANDBOX_DATA_FILE="/nowhere/at/all.db")
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 1
    assert "SANDBOX_DATA_FILE" in output.decode()


async def test_second_sandbox_on_one_file_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    async with running(SANDBOX_DATA_FILE=path):
        second = await start(SANDBOX_DATA_FILE=path)
        output, _ = await asyncio.wait_for(second.communicate(), WAIT_SECONDS)
        assert second.returncode == 1
        assert "locked" in output.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ends_within_two_seconds_even_with_a_call_held_back(number: signal.Signals) -> None:
    async with running() as (process, paystack):
        assert (await paystack.call("GET", "/healthz")) == {"status": "ok"}
        assert (await paystack.call("GET", "/readyz")) == {"status": "ok"}
        await paystack.call("POST", "/sandbox/faults", {"timeout_after_charge": True})
        held = asyncio.create_task(paystack.initialize("BX-1"))
        async with asyncio.timeout(WAIT_SECONDS):
            while "initialize" not in await paystack.call("GET", "/sandbox/calls"):
                pass
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 2) == 0
        with pytest.raises(aiohttp.ClientError):
            await held


async def test_killed_sandbox_keeps_its_ledger_its_refunds_and_its_webhooks(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    async with receiving() as shop:
        settings = {"SANDBOX_DATA_FILE": path, "SANDBOX_WEBHOOK_URL": shop.url}
        async with running(**settings, SANDBOX_REFUND_SECONDS="3600") as (process, paystack):
            for number in range(50):
                await paystack.pay(f"BX-{number}", 10_000 + number, webhooks=0)
            await paystack.call("POST", "/refund", {"transaction": "BX-7"})
            await paystack.pay("BX-late", webhooks=1, delay_seconds=3_600)
            before = await paystack.ledger()
            process.kill()
            await process.wait()
        async with running(**settings, SANDBOX_REFUND_SECONDS="0") as (_, paystack):
            after = await paystack.ledger()
            assert [c["id"] for c in after["charges"]] == [c["id"] for c in before["charges"]]
            assert after["totals"]["captured"] == before["totals"]["captured"]
            body = {"email": "a@b.co", "amount": 5_000, "reference": "BX-3"}
            await paystack.call("POST", "/transaction/initialize", body, status=400)
            names = {event["event"] for event in await shop.wait(3)}
            assert names >= {"refund.pending", "refund.processing", "refund.processed"}
            assert (await paystack.verify("BX-7"))["status"] == "reversed"
            [pending] = await paystack.call("GET", "/sandbox/webhooks?reference=BX-late")
            assert pending["status"] == "pending"
            made = await paystack.initialize("BX-new")
            assert made["authorization_url"].startswith(paystack.url)
            assert (await paystack.verify("BX-new"))["id"] > max(c["id"] for c in after["charges"])


async def test_everything_answered_before_a_kill_is_in_the_ledger_after_it(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    answered: list[str] = []
    async with running(SANDBOX_DATA_FILE=path) as (process, paystack):

        async def keep_paying(worker: int) -> None:
            with contextlib.suppress(aiohttp.ClientError):
                for number in itertools.count():
                    await paystack.pay(f"BX-{worker}-{number}")
                    answered.append(f"BX-{worker}-{number}")
                    if len(answered) == 300:
                        process.kill()

        await asyncio.wait_for(asyncio.gather(*(keep_paying(worker) for worker in range(20))), 30)
    async with running(SANDBOX_DATA_FILE=path) as (_, paystack):
        kept = {charge["reference"] for charge in (await paystack.ledger())["charges"]}
        assert len(answered) >= 300
        assert set(answered) <= kept
