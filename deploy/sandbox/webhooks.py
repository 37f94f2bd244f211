"""Hands webhooks over: signed, retried on anything but 200, a bounded number of times."""

import asyncio
import hashlib
import hmac
import time
from dataclasses import replace
from typing import Any

import aiohttp
import orjson

from deploy.sandbox.bell import Bell
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.model import Delivery

_WORKERS = 48


def sign(secret_key: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA512 of the raw body, as in ``x-paystack-signature``."""
    return hmac.new(secret_key.encode(), body, hashlib.sha512).hexdigest()


class Webhooks:
    """A queue of deliveries in front of a fixed number of workers. What is pending survives a restart."""

    def __init__(
        self,
        ledger: Ledger,
        bell: Bell,
        *,
        secret_key: str,
        url: str,
        retry_seconds: tuple[float, ...],
        timeout_seconds: float,
    ) -> None:
        """Prepare; nothing is sent before `start`. An empty `url` sends nothing."""
        self._ledger = ledger
        self._secret_key = secret_key
        self._url = url
        self._retry_seconds = retry_seconds
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._pending: set[int] = set()
        self._closed = False
        self._bell = bell

    @property
    def pending(self) -> int:
        """Return how many deliveries are still to be made."""
        return len(self._pending)

    def change_key(self, secret_key: str, *, keep_pending: bool) -> None:
        """Sign with another key from now on; what waits keeps its signature, or is signed anew with each attempt."""
        self._secret_key = secret_key
        if not keep_pending:
            for delivery_id in self._pending:
                self._ledger.save(replace(self._ledger.deliveries[delivery_id], signature=""))

    async def start(self) -> None:
        """Start the workers and take up what an earlier process left."""
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=_WORKERS),
            headers={"User-Agent": "Paystack/2.0", "Content-Type": "application/json"},
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
        for delivery in self._ledger.deliveries.values():
            if delivery.status == "pending":
                self._send_later(delivery)

    async def close(self) -> None:
        """Stop at once; pending deliveries stay in the ledger."""
        self._closed = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._session.close()

    def send(
        self, event: str, reference: str, data: dict[str, Any], *, copies: int = 1, delay_seconds: float = 0
    ) -> None:
        """Queue `copies` of one event; each copy is delivered and retried on its own."""
        if not self._url or copies == 0:
            return
        # Compact, and without escaping what JavaScript does not escape: these are the bytes Paystack sends.
        self.send_again(event, reference, orjson.dumps({"event": event, "data": data}).decode(), copies, delay_seconds)

    def send_again(self, event: str, reference: str, body: str, copies: int = 1, delay_seconds: float = 0) -> None:
        """Queue the same bytes again."""
        now = time.time()
        for _ in range(copies):
            delivery = Delivery(
                id=self._ledger.new_id(),
                event=event,
                reference=reference,
                body=body,
                url=self._url,
                status="pending",
                created_at=now,
                due_at=now + delay_seconds,
                signature=sign(self._secret_key, body.encode()),
            )
            self._ledger.save(delivery)
            self._send_later(delivery)

    def _send_later(self, delivery: Delivery) -> None:
        self._pending.add(delivery.id)
        wait = delivery.due_at - time.time()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._enqueue, delivery.id)
        else:
            self._enqueue(delivery.id)

    def _enqueue(self, delivery_id: int) -> None:
        if not self._closed:
            self._queue.put_nowait(delivery_id)

    async def _work(self) -> None:
        while True:
            delivery = self._ledger.deliveries[await self._queue.get()]
            began = time.time()
            code, error = await self._post(delivery)
            attempt = {"at": began, "seconds": round(time.time() - began, 4), "code": code, "error": error}
            # Read again: the key may have changed meanwhile, and with it the signature.
            newest = self._ledger.deliveries[delivery.id]
            self._finish(replace(newest, attempts=(*newest.attempts, attempt)), code)

    async def _post(self, delivery: Delivery) -> tuple[int | None, str | None]:
        body = delivery.body.encode()
        headers = {"x-paystack-signature": delivery.signature or sign(self._secret_key, body)}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return answer.status, None
        except TimeoutError:
            return None, "timed out"
        except (aiohttp.ClientError, OSError) as error:
            return None, f"{type(error).__name__}: {error}"

    def _finish(self, delivery: Delivery, code: int | None) -> None:
        retries = len(delivery.attempts) - 1
        # Paystack asks for exactly "200 OK"; whether it takes 201 or 204 is not published.
        if code == 200:
            delivery = replace(delivery, status="delivered")
        elif retries >= len(self._retry_seconds):
            delivery = replace(delivery, status="failed")
        else:
            delivery = replace(delivery, due_at=time.time() + self._retry_seconds[retries])
        self._ledger.save(delivery)
        if delivery.status == "pending":
            self._send_later(delivery)
        else:
            self._pending.discard(delivery.id)
        self._bell.ring()
