"""The client of Paystack's API (https://paystack.com/docs/api). The only module that knows its wire format.

Only GETs are repeated here: initialise and refund are not idempotent at Paystack, so their callers store first what
they are about to do, and look up what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import orjson
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from services.payments.domain import Answer, Facts, NoAnswer, NotFound
from services.payments.domain_refunds import ProviderRefund
from services.payments.exceptions import NotSent, PaystackError, RateLimited, Refused, Unknown

Budget = Literal["initialise", "verify", "other"]
#: Asked before each call; raises OverBudget.
TakeCall = Callable[[Budget], Awaitable[None]]

#: Largest answer that is read, in bytes.
_MAX_ANSWER = 4 * 1024 * 1024
#: Pause when a 429 does not say how long to wait.
_DEFAULT_RESET_SECONDS = 30.0
#: Refunds of one charge that are looked at.
_REFUNDS_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Initialised:
    """A page on which a buyer can pay."""

    authorization_url: str
    access_code: str


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_amount(value: object) -> object:
    """20000, "20000" and 20000.0 are the same amount; 100.5 is none."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lenient(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """``None`` for what cannot be read: it is of no consequence, and must not make money unreadable."""
    try:
        return read(value)
    except ValidationError:
        return None


def _in_utc(moment: datetime) -> datetime:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is no time in UTC") from None


def _storable(text: str) -> str:
    # NUL is legal in JSON and not in text columns, and an index takes no kilobytes. No reference of ours is like that.
    return text.replace("\x00", "\ufffd")[:200]


Text = Annotated[str, AfterValidator(_storable)]
Id = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[0-9]{1,20}$")]
Amount = Annotated[int, BeforeValidator(_as_amount), Field(strict=True, ge=0, lt=2**63)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Transaction(_Wire):
    id: Id
    reference: Text
    status: Text
    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    domain: Text
    paid_at: Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, WrapValidator(_lenient)] = Field(
        None, validation_alias=AliasChoices("paid_at", "paidAt")
    )
    fees: Annotated[Amount | None, WrapValidator(_lenient)] = None


class _Page(_Wire):
    authorization_url: Annotated[str, Field(pattern=r"^https?://")]
    access_code: str
    reference: str


class _Refund(_Wire):
    id: Id
    amount: Amount
    status: str


T = TypeVar("T", bound=_Wire)


def read_facts(data: object) -> Facts:
    """A transaction as verify and ``charge.success`` give it. Raises ValueError when it is none."""
    one = _Transaction.model_validate(data)
    return Facts(
        charge_id=one.id,
        reference=one.reference,
        status=one.status,
        amount_kobo=one.amount,
        currency=one.currency.upper(),
        domain=one.domain,
        paid_at=one.paid_at,
        fees_kobo=one.fees,
    )


class Paystack:
    """The API under one secret key. ``take_call`` keeps the budget that all replicas share."""

    def __init__(self, url: str, secret_key: str, *, timeout_seconds: float, take_call: TakeCall) -> None:
        self._url = url
        self._secret_key = secret_key
        self._timeout_seconds = timeout_seconds
        self._take_call = take_call
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def initialise(
        self, *, reference: str, email: str, amount_kobo: int, currency: str, callback_url: str, cancel_url: str
    ) -> Initialised:
        """Make a transaction with a page to pay. The caller has taken its call from the budget already.

        Raises Refused, NotSent or RateLimited when there is none, and Unknown when there may be one.
        """
        data = await self._call(
            "POST",
            "/transaction/initialize",
            {
                "reference": reference,
                "email": email,
                "amount": amount_kobo,
                "currency": currency,
                "callback_url": callback_url,
                "metadata": {"cancel_action": cancel_url},
            },
        )
        page = _read(_Page, data)
        if page.reference != reference:
            raise Unknown(f"Paystack answered about {page.reference!r}")
        return Initialised(page.authorization_url, page.access_code)

    async def verify(self, reference: str) -> Answer:
        """What became of a transaction. Never raises for an answer that cannot be had: that is NoAnswer.

        Raises OverBudget before a call that the budget does not allow, and RateLimited after Paystack's own 429.
        """
        try:
            data = await self._get("verify", f"/transaction/verify/{quote(reference, safe='')}")
            facts = read_facts(data)
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
        await self._take_call("other")
        data = await self._call(
            "POST",
            "/refund",
            {"transaction": charge_id, "amount": amount_kobo, "currency": currency, "merchant_note": note},
        )
        return _as_refund(_read(_Refund, data))

    async def get_refund(self, refund_id: str) -> ProviderRefund:
        """One refund. Raises PaystackError."""
        return _as_refund(_read(_Refund, await self._get("other", f"/refund/{refund_id}")))

    async def list_refunds(self, charge_id: str) -> list[ProviderRefund]:
        """The refunds of one charge, newest first. Raises PaystackError.

        Paystack filters by the numeric transaction id only; a reference would silently find nothing.
        """
        data = await self._get("other", f"/refund?transaction={charge_id}&perPage={_REFUNDS_PER_PAGE}")
        if not isinstance(data, list):
            raise Unknown("the list of refunds is none")
        return [_as_refund(_read(_Refund, one)) for one in data]

    async def _get(self, budget: Budget, path: str) -> Any:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=wait_random_exponential(multiplier=0.2, max=1),
            retry=retry_if_exception_type(Unknown),
            reraise=True,
        )
        # The whole of it, repeats included, ends within the time of one call.
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async for attempt in retrying:
                    with attempt:
                        await self._take_call(budget)
                        return await self._call("GET", path)
        except TimeoutError as error:
            raise Unknown("no answer in time") from error
        raise AssertionError("unreachable")

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            async with self._open_session().request(
                method, self._url + path, data=None if body is None else orjson.dumps(body), allow_redirects=False
            ) as response:
                raw = await response.content.read(_MAX_ANSWER)
                return _read_envelope(response.status, response.headers, raw)
        except aiohttp.ClientConnectorError as error:
            raise NotSent(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                headers={
                    "Authorization": f"Bearer {self._secret_key}",
                    "Content-Type": "application/json",
                    "User-Agent": "boxoffice",
                },
                connector=aiohttp.TCPConnector(limit=64),
            )
        return self._session


def _read_envelope(status: int, headers: Mapping[str, str], raw: bytes) -> Any:
    """The data of an answer. ``status: true`` in it only says that the call went well, not that anybody paid."""
    if status == 429:
        raise RateLimited(_reset_seconds(headers))
    try:
        envelope = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unknown(f"{status} with a body that is not JSON") from error
    if not isinstance(envelope, dict):
        raise Unknown(f"{status} with JSON that is no object")
    if status >= 500:
        raise Unknown(f"{status}: {str(envelope.get('message'))[:200]}")
    if 200 <= status < 300 and envelope.get("status") is True:
        return envelope.get("data")
    raise Refused(status, str(envelope.get("code") or "")[:100], str(envelope.get("message") or "")[:300])


def _reset_seconds(headers: Mapping[str, str]) -> float:
    try:
        return min(max(float(headers.get("x-ratelimit-reset", "")), 1.0), 600.0)
    except ValueError:
        return _DEFAULT_RESET_SECONDS


def _read(model: type[T], data: object) -> T:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Unknown(f"the answer is no {model.__name__.strip('_').lower()}") from error


def _as_refund(one: _Refund) -> ProviderRefund:
    return ProviderRefund(id=one.id, amount_kobo=one.amount, status=one.status)
