"""The client of Paystack's API (https://paystack.com/docs/api), under one budget of calls for all replicas.

Only GETs are repeated here: initialise and refund are not idempotent at Paystack, so their callers store first what
they are about to do, and look up what became of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from services.payments.domain import Answer, NoAnswer, NotFound
from services.payments.domain_disputes import ProviderDispute
from services.payments.domain_refunds import ProviderRefund
from services.payments.domain_sweep import ListedDispute, ListName, Window
from services.payments.exceptions import NotSent, PaystackError, RateLimited, Refused, Unknown
from services.payments.wire import (
    DisputeListed,
    Envelope,
    PageMade,
    RefundMade,
    read,
    read_dispute,
    read_envelope,
    read_facts,
)

_log = structlog.get_logger()

Budget = Literal["initialise", "verify", "other"]

#: Largest answer that is read, in bytes.
_MAX_ANSWER = 4 * 1024 * 1024
#: Disputes in one page of the list.
_DISPUTES_PER_PAGE = 100
#: Refunds of one charge that are looked at.
_REFUNDS_PER_PAGE = 100


class Meter(Protocol):
    """Counts calls for all replicas together."""

    async def take(self, name: Budget, *, patient: bool = False) -> int:
        """Count one call before it is made. Raises OverBudget; a patient caller leaves room for people who wait."""

    async def end(self, call: int) -> None:
        """The call has ended: an answer came, or it was never sent."""

    async def pause(self, name: Budget, seconds: float) -> None:
        """Paystack answered 429: nobody calls for so long."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """A page on which a buyer can pay."""

    authorization_url: str
    access_code: str


class Paystack:
    """The API. The first of the keys calls; the others take over when Paystack no longer knows it."""

    def __init__(self, url: str, secret_keys: Sequence[str], *, timeout_seconds: float, meter: Meter) -> None:
        self._url = url
        # A live key never makes way for a test key, nor the other way round.
        self._keys = [key for key in secret_keys if _mode(key) == _mode(secret_keys[0])]
        self._key = 0
        self._timeout_seconds = timeout_seconds
        self._meter = meter
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def initialise(
        self,
        *,
        call: int,
        reference: str,
        email: str,
        amount_kobo: int,
        currency: str,
        callback_url: str,
        cancel_url: str,
    ) -> Initialised:
        """Make a transaction with a page to pay. The caller has taken ``call`` from the budget already.

        Raises Refused, NotSent or RateLimited when there is none, and Unknown when there may be one.
        """
        body = {
            "reference": reference,
            "email": email,
            "amount": amount_kobo,
            "currency": currency,
            "callback_url": callback_url,
            "metadata": {"cancel_action": cancel_url},
        }
        page = read(PageMade, (await self._call("initialise", "POST", "/transaction/initialize", body, call=call)).data)
        if page.reference != reference:
            raise Unknown(f"Paystack answered about {page.reference!r}")
        return Initialised(page.authorization_url, page.access_code)

    async def verify(self, reference: str, *, patient: bool = False) -> Answer:
        """What became of a transaction. Never raises for an answer that cannot be had: that is NoAnswer.

        Raises OverBudget before a call that the budget does not allow, and RateLimited after Paystack's own 429.
        """
        try:
            found = await self._get("verify", f"/transaction/verify/{quote(reference, safe='')}", patient=patient)
            facts = read_facts(found.data)
        except Refused as error:
            # Sources disagree about the HTTP status (400 or 404); the code and the text are what counts.
            missing = error.code == "transaction_not_found" or "reference not found" in error.message.lower()
            return NotFound() if missing else NoAnswer()
        except RateLimited:
            raise
        except (PaystackError, ValueError):
            return NoAnswer()
        # An answer about something else says nothing about what was asked.
        return facts if facts.reference == reference else NoAnswer()

    async def refund(self, *, charge_id: str, amount_kobo: int, currency: str, note: str) -> ProviderRefund:
        """Give money back. Raises as ``initialise`` does, and OverBudget."""
        body = {"transaction": charge_id, "amount": amount_kobo, "currency": currency, "merchant_note": note}
        return _as_refund(read(RefundMade, (await self._call("other", "POST", "/refund", body)).data))

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        """One refund. Raises PaystackError."""
        return _as_refund(read(RefundMade, (await self._get("other", f"/refund/{refund_id}")).data))

    async def list_refunds(self, charge_id: str) -> list[ProviderRefund]:
        """The refunds of one charge, newest first. Raises PaystackError.

        Paystack filters by the numeric transaction id only; a reference would silently find nothing.
        """
        found = await self._get("other", f"/refund?transaction={charge_id}&perPage={_REFUNDS_PER_PAGE}")
        if not isinstance(found.data, list):
            raise Unknown("the list of refunds is none")
        return [_as_refund(read(RefundMade, one)) for one in found.data]

    async def list_disputes(self, charge_id: str) -> list[ListedDispute]:
        """The disputes of one charge. Raises PaystackError."""
        found = await self._get("other", f"/dispute?transaction={charge_id}&perPage={_REFUNDS_PER_PAGE}", patient=True)
        if not isinstance(found.data, list):
            raise Unknown("the list of disputes is none")
        disputes = [read(DisputeListed, one) for one in found.data]
        return [ListedDispute(one.id, one.refund_amount, one.resolution) for one in disputes]

    async def list_page(self, name: ListName, window: Window, *, per_page: int) -> Envelope:
        """A page of all transactions, or of all refunds, that were begun in the window. Raises PaystackError.

        Of every status: with ``status=success`` those that went back would be missing.
        """
        query = {
            "perPage": str(per_page),
            "from": _as_moment(window.created_from),
            "to": _as_moment(window.created_to + timedelta(seconds=1)),
        }
        place = window.place
        query |= {"page": str(place.page)} if place.cursor is None else {"use_cursor": "true", "next": place.cursor}
        path = {"transactions": "/transaction", "refunds": "/refund"}[name]
        page = await self._get("other", f"{path}?{urlencode(query)}", patient=True)
        if not isinstance(page.data, list):
            raise Unknown("the list is none")
        return page

    async def list_all_disputes(self, page: int) -> list[ProviderDispute]:
        """One page of all disputes; an empty one is the end. What cannot be read is left out. Raises PaystackError."""
        found = await self._get("other", f"/dispute?perPage={_DISPUTES_PER_PAGE}&page={page}", patient=True)
        if not isinstance(found.data, list):
            raise Unknown("the list of disputes is none")
        disputes = []
        for one in found.data:
            try:
                disputes.append(read_dispute(one))
            except ValueError:
                _log.warning("a dispute cannot be read")
        return disputes

    async def _get(self, budget: Budget, path: str, *, patient: bool = False) -> Envelope:
        """Read something. Asked twice at most, since reading changes nothing. Raises PaystackError."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=wait_random_exponential(multiplier=0.2, max=1),
            retry=retry_if_exception_type((Unknown, NotSent)),
            reraise=True,
        )
        # The whole of it, repeats included, ends within the time of one call.
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async for attempt in retrying:
                    with attempt:
                        return await self._call(budget, "GET", path, patient=patient)
        except TimeoutError as error:
            raise Unknown("no answer in time") from error
        raise AssertionError("unreachable")

    async def _call(
        self,
        budget: Budget,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        call: int | None = None,
        patient: bool = False,
    ) -> Envelope:
        """One call, counted. Where Paystack refuses the key nothing was done, so that the next key may try."""
        for _ in self._keys[1:]:
            key = self._key
            try:
                return await self._count(budget, method, path, body, call=call, patient=patient)
            except Refused as error:
                if error.http_status != 401:
                    raise
                # Not if another call has moved on meanwhile.
                if self._key == key:
                    self._key = (key + 1) % len(self._keys)
                _log.warning("Paystack refuses a secret key; the next one calls", error=str(error))
                call = None
        return await self._count(budget, method, path, body, call=call, patient=patient)

    async def _count(
        self, budget: Budget, method: str, path: str, body: Mapping[str, Any] | None, *, call: int | None, patient: bool
    ) -> Envelope:
        taken = call if call is not None else await self._meter.take(budget, patient=patient)
        try:
            envelope = await self._send(method, path, body)
        except RateLimited as error:
            # Whoever asked: from here on nobody does, in any replica.
            await self._meter.pause(budget, error.reset_seconds)
            await self._meter.end(taken)
            raise
        except (Refused, NotSent):
            await self._meter.end(taken)
            raise
        # A call without an answer counts for as long as it could still arrive there.
        await self._meter.end(taken)
        return envelope

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Envelope:
        try:
            async with self._open_session().request(
                method,
                self._url + path,
                data=None if body is None else orjson.dumps(body),
                headers={"Authorization": f"Bearer {self._keys[self._key]}"},
                allow_redirects=False,
            ) as response:
                return read_envelope(response.status, response.headers, await _read_whole(response))
        except aiohttp.ClientConnectorError as error:
            raise NotSent(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                headers={"Content-Type": "application/json", "User-Agent": "boxoffice"},
                connector=aiohttp.TCPConnector(limit=64),
            )
        return self._session


async def _read_whole(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, in however many pieces it comes; Unknown when it has no end in sight."""
    pieces: list[bytes] = []
    async for piece in response.content.iter_any():
        pieces.append(piece)
        if sum(map(len, pieces)) > _MAX_ANSWER:
            raise Unknown(f"{response.status} with more than {_MAX_ANSWER} octets")
    return b"".join(pieces)


def _as_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _mode(key: str) -> str:
    return "live" if key.startswith("sk_live_") else "test"


def _as_refund(one: RefundMade) -> ProviderRefund:
    return ProviderRefund(one.id, one.amount, one.status, one.merchant_note or "")
