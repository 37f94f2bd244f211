"""The gateway as a process of its own: refused settings, and a drain that is counted."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp

from deploy.local.engines import Engines
from shared.contracts.gateway import CheckoutRequestedV1
from tests.harness import PATIENCE_SECONDS, Wire
from tests.integration.gateway_support import NOWHERE, SERVICE_TOKEN, TOKEN_KEYS
from tests.waiting import until


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(amqp_url: str, namespace: str, port: int, **changes: str) -> dict[str, str]:
    settings = {
        "AMQP_URL": amqp_url,
        "NAMESPACE": namespace,
        "HTTP_PORT": str(port),
        "TOKEN_KEYS": TOKEN_KEYS,
        "SERVICE_TOKEN": SERVICE_TOKEN,
        "ORDERS_URL": NOWHERE,
        "INVENTORY_URL": NOWHERE,
        "PAYMENTS_PUBLIC_URL": "https://pay.example",
        "PUBLIC_URL": "https://tickets.example",
    } | changes
    return {"PATH": os.environ["PATH"], **{f"GATEWAY_{name}": value for name, value in settings.items() if value}}


@asynccontextmanager
async def process(env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.gateway",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def test_wrong_and_missing_settings_are_named_and_refused(namespace: str) -> None:
    env = environment("http://nowhere", namespace, 0, TOKEN_KEYS="k1:secret", ORDERS_URL="")
    async with process(env) as gateway, asyncio.timeout(PATIENCE_SECONDS):
        _, errors = await gateway.communicate()
    assert gateway.returncode == 2
    text = errors.decode()
    for line in ("GATEWAY_AMQP_URL is wrong", "GATEWAY_TOKEN_KEYS is wrong", "GATEWAY_ORDERS_URL is not set"):
        assert line in text
    assert "secret" not in text.replace("the secret of k1", "")


async def test_a_port_that_is_taken_is_named(engines: Engines, namespace: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with (
            process(environment(engines.amqp_url, namespace, port)) as gateway,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            output, _ = await gateway.communicate()
    assert gateway.returncode == 1
    assert "cannot listen" in output.decode()
    assert str(port) in output.decode()


async def test_sigterm_with_200_checkouts_in_flight_loses_none_and_exits_0(engines: Engines, namespace: str) -> None:
    port = free_port()
    async with (
        Wire(engines.amqp_url, namespace) as wire,
        process(environment(engines.amqp_url, namespace, port)) as one,
    ):
        heard = await wire.overhear(CheckoutRequestedV1)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def is_ready() -> bool:
                try:
                    async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            async def check_out(number: int) -> tuple[int, str]:
                body = {"items": [{"tier_id": str(UUID(int=1)), "quantity": 1}], "email": f"b{number}@example.com"}
                headers = {"Prefer": "wait=30"}
                url = f"http://127.0.0.1:{port}/v1/checkout"
                async with client.post(url, json=body, headers=headers) as answer:
                    return answer.status, (await answer.json()).get("order_id", "")

            await until(is_ready, PATIENCE_SECONDS, "the process is ready")
            calls = [asyncio.create_task(check_out(number)) for number in range(250)]
            await until(lambda: heard.qsize() >= 200, PATIENCE_SECONDS, "200 are in flight")
            one.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_SECONDS):
                answers = await asyncio.gather(*calls)
                assert await one.wait() == 0
    published = {str(heard.get_nowait().subject) for _ in range(heard.qsize())}
    accepted = {order_id for status, order_id in answers if status == 202}
    assert len(accepted) >= 200
    assert accepted <= published
    assert {status for status, _ in answers} <= {202, 503}
