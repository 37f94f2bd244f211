"""The mailer under SIGTERM, and its duplicates let loose at once."""

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from deploy.local.engines import Engines
from services.mailer.service import build
from shared.messaging.handling import Done
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, delivery_of, running
from tests.post import Post
from tests.ticket_samples import mailer_settings, tickets_issued
from tests.waiting import until

PROJECT = Path(__file__).parents[2]


async def test_many_copies_at_once_are_one_mail_each(make_database: MakeDatabase) -> None:
    async with Post() as post:
        settings = mailer_settings(make_database("mailer"), post.url, database_connections=10)
        orders = [tickets_issued((1, 2), serial=serial) for serial in range(20)]
        async with Bench(build(settings)) as one, Bench(build(settings)) as other:
            outcomes = await asyncio.gather(
                *(one.outcomes(delivery_of(*orders)) for _ in range(5)),
                *(other.outcomes(delivery_of(*reversed(orders))) for _ in range(5)),
            )
            assert outcomes == [[Done()]] * 10
            assert await one.value("SELECT count(*) FROM mails") == 20


#: Mails the post office takes before it falls silent; the other 300 are in flight when the signal comes.
TAKEN = 100


async def test_sigterm_with_200_mails_in_flight_loses_and_repeats_none(
    make_database: MakeDatabase, engines: Engines, namespace: str
) -> None:
    url = make_database("mailer")
    async with Post(most=TAKEN) as post, Bench(build(mailer_settings(url, post.url))) as bench:
        first = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.mailer",
            cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "MAILER_DATABASE_URL": url,
                "MAILER_AMQP_URL": engines.amqp_url,
                "MAILER_NAMESPACE": namespace,
                "MAILER_HTTP_PORT": "0",
                "MAILER_ADMIN_TOKENS": "operator:operator-token-0001",
                "MAILER_SENDER": "tickets@boxoffice.example",
                "MAILER_SMTP_URL": post.url,
                "MAILER_DRAIN_SECONDS": "2",
                "MAILER_POLL_SECONDS": "0.1",
            },
        )
        orders = [tickets_issued((1,), serial=serial, email=f"buyer{serial}@example.com") for serial in range(400)]
        assert first.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while b'"event": "ready"' not in await first.stdout.readline():
                    pass
            await bench.deliver_batch(*orders)
            await until(lambda: len(post.mails) == TAKEN, PATIENCE_SECONDS, "the post office takes no more")
            first.send_signal(signal.SIGTERM)
            said, _ = await asyncio.wait_for(first.communicate(), PATIENCE_SECONDS)
            assert first.returncode == 0, said.decode()[-2000:]
        finally:
            if first.returncode is None:
                first.kill()
                await first.wait()
        came = len(post.mails)
        assert came == TAKEN, "the others were interrupted"
        post.gate.set()
        # What was leased and not begun is free at once: the next replica need not wait for any lease.
        assert await bench.value("SELECT count(*) FROM mails WHERE claimed_by IS NOT NULL") == 0
        async with running(build(mailer_settings(url, post.url, engines.amqp_url, namespace=namespace))):
            await until(lambda: len(post.mails) >= 400, PATIENCE_SECONDS, "all mails")
        repeats = {to: count for to, count in Counter(mail.to for mail in post.mails).items() if count > 1}
        # At most the mails that were cut off between their hand-over and the record, one a connection.
        assert len(repeats) <= 4
        assert {mail.to for mail in post.mails} == {order.email for order in orders}
