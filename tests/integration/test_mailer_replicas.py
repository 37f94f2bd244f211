"""The mailer as it runs: over RabbitMQ, in several replicas, and when one of them dies."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from deploy.local.engines import Engines
from services.mailer.service import build
from shared.contracts.mailer import MailFailedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, Wire, running
from tests.post import Post
from tests.ticket_samples import expired_order, mailer_settings, tickets_issued
from tests.waiting import until

PROJECT = Path(__file__).parents[2]


async def test_a_lone_mail_waits_for_no_timer(make_database: MakeDatabase, engines: Engines, namespace: str) -> None:
    async with Post() as post, Wire(engines.amqp_url, namespace) as wire:
        # Every poll is an hour, so only being woken sends this.
        settings = mailer_settings(make_database("mailer"), post.url, engines.amqp_url, namespace=namespace)
        async with running(build(settings)):
            await wire.publish(tickets_issued())
            await until(lambda: post.mails, PATIENCE_SECONDS, "the mail")


async def test_a_permanent_refusal_is_heard_by_others(
    make_database: MakeDatabase, engines: Engines, namespace: str
) -> None:
    async with Post() as post, Wire(engines.amqp_url, namespace) as wire:
        post.refuse("ada@example.com", 550)
        heard = await wire.overhear(MailFailedV1)
        settings = mailer_settings(make_database("mailer"), post.url, engines.amqp_url, namespace=namespace)
        issued = tickets_issued()
        async with running(build(settings)):
            await wire.publish(issued)
            failed = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
        assert isinstance(failed, MailFailedV1)
        assert failed.order_id == issued.order_id


async def test_two_replicas_send_each_of_400_mails_once(
    make_database: MakeDatabase, engines: Engines, namespace: str
) -> None:
    async with Post() as post, Wire(engines.amqp_url, namespace) as wire:
        url = make_database("mailer")
        replicas = [
            build(mailer_settings(url, post.url, engines.amqp_url, namespace=namespace, poll_seconds=0.2))
            for _ in range(2)
        ]
        # Mails that cost nothing to write, so that both replicas are at the server all the time.
        orders = [expired_order(email=f"buyer{serial}@example.com") for serial in range(400)]
        async with running(*replicas):
            for start in range(0, 400, 20):
                await wire.publish(*orders[start : start + 20])
                await wire.publish(*orders[start : start + 20])
            await until(lambda: len(post.mails) >= 400, PATIENCE_SECONDS, "400 mails")
        # The replicas have drained: what they had begun is over.
        assert Counter(mail.to for mail in post.mails) == Counter(order.email for order in orders)
        shares = [
            replica.metrics.registry.get_sample_value("boxoffice_mails_sent_total", {"kind": "expired"})
            for replica in replicas
        ]
        print("shares", shares)
        assert sum(share or 0 for share in shares) == 400


async def test_a_mail_whose_replica_was_killed_is_sent_by_a_rival(
    make_database: MakeDatabase, engines: Engines, namespace: str
) -> None:
    """The victim is killed while the server has not answered yet: its lease runs out, and a rival sends the mail."""
    reached, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    url = make_database("mailer")
    timing = {"smtp_timeout_seconds": 1.0, "lease_seconds": 3.0}
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    silent_url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Post() as post, Bench(build(mailer_settings(url, post.url))) as bench:
        await bench.deliver(tickets_issued())
        victim = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.mailer",
            cwd=PROJECT,
            stdout=asyncio.subprocess.DEVNULL,
            env={
                **os.environ,
                "MAILER_DATABASE_URL": url,
                "MAILER_AMQP_URL": engines.amqp_url,
                "MAILER_NAMESPACE": namespace,
                "MAILER_HTTP_PORT": "0",
                "MAILER_ADMIN_TOKENS": "operator:operator-token-0001",
                "MAILER_SENDER": "tickets@boxoffice.example",
                "MAILER_SMTP_URL": silent_url,
                "MAILER_SMTP_TIMEOUT_SECONDS": "1",
                "MAILER_LEASE_SECONDS": "3",
            },
        )
        try:
            await asyncio.wait_for(reached.wait(), PATIENCE_SECONDS)
        finally:
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
            await asyncio.wait_for(gone.wait(), PATIENCE_SECONDS)
            server.close()
        assert await bench.value("SELECT status FROM mails WHERE claimed_until > app_now()") == "waiting"
        rival = build(mailer_settings(url, post.url, engines.amqp_url, namespace=namespace, **timing))
        async with running(rival):
            await until(lambda: post.mails, PATIENCE_SECONDS, "the mail")
        assert await bench.value("SELECT status FROM mails") == "sent"
        assert len(post.mails) == 1
