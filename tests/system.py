"""All services in one process, with the real engines, the Paystack sandbox and the mail catcher around them."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp

from deploy.catcher.app import serving as catching
from deploy.catcher.settings import Settings as CatcherSettings
from deploy.demo.shop import Shop
from deploy.demo.sums import Sum, check_sums, read_books
from deploy.local.plan import Secrets, Wiring, service_environment
from deploy.local.ports import choose_free_ports
from deploy.sandbox.app import serving as paystack
from deploy.sandbox.settings import Settings as SandboxSettings
from shared.contracts.registry import SERVICES, ServiceName
from shared.messaging.topology import durable_consumers
from shared.runtime.settings import ServiceSettings
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Running, Wire, running
from tests.waiting import until

SECRETS = Secrets(
    token_keys="k1:0123456789abcdef0123456789abcdef",
    service_token="service-0123456789abcdef",
    organiser_token="organiser-0123456789abcdef",
    operator_token="operator-0123456789abcdef",
    gate_token="gate-0123456789abcdef",
    supervisor_token="supervisor-0123456789abcdef",
    ticketing_master_keys=f"m1:{'11' * 32}",
    ticketing_signing_keys=f"s1:{'22' * 32}",
)

#: What differs from the shipped settings so that a test need not wait; each test may say otherwise.
QUICK: dict[ServiceName, dict[str, Any]] = {
    "orders": {"ask_again_seconds": 1},
    "inventory": {"ask_again_seconds": 1, "ask_hold_after_seconds": 2},
    "reaper": {"ask_again_seconds": 1},
    "payments": {
        "ask_again_seconds": 1,
        "last_attempt_seconds": 0,
        "verify_closing_seconds": 0.2,
        "verify_closing_most_seconds": 1,
        "refund_poll_seconds": 0.2,
        "refund_poll_most_seconds": 1,
        "link_wait_seconds": 3,
    },
}


@dataclass
class System:
    """A running system, and a way to buy from it."""

    wiring: Wiring
    shop: Shop
    session: aiohttp.ClientSession
    services: dict[ServiceName, list[Any]] = field(default_factory=dict)

    def url(self, service: str, replica: int = 0) -> str:
        """Where a replica answers."""
        return self.wiring.url(service, replica)

    async def tiers(self, *tiers: Mapping[str, Any]) -> list[UUID]:
        """An event with these tiers; returns their ids."""
        event = {
            "title": "Night of the Long Drums",
            "venue": "Freedom Park, Lagos",
            "starts_at": "2031-05-01T19:00:00Z",
            "ends_at": "2031-05-01T23:00:00Z",
        }
        answer = await self.organise("POST", "/v1/admin/events", event)
        event_id = answer["id"]
        made = [await self.organise("POST", f"/v1/admin/events/{event_id}/tiers", tier) for tier in tiers]
        return [UUID(tier["id"]) for tier in made]

    async def tier(self, capacity: int, price_kobo: int = 500_000, **more: Any) -> UUID:
        """An event with one tier."""
        (tier_id,) = await self.tiers({"name": "VIP", "capacity": capacity, "price_kobo": price_kobo, **more})
        return tier_id

    async def organise(self, method: str, path: str, body: Any = None, *, service: str = "inventory") -> Any:
        """An organiser's call; asserts that it was taken."""
        answer = await self.shop.request(
            method,
            f"{self.url(service)}{path}",
            json=body,
            headers={"Authorization": f"Bearer {SECRETS.organiser_token}"},
        )
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    async def mails(self, to: str) -> list[dict[str, Any]]:
        """What an address was sent so far."""
        answer = await self.shop.get(f"{self.url('catcher')}/messages?to={to}")
        return [dict(one) for one in answer.body["items"]]

    async def mailed(self, to: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an address was sent so many."""

        async def enough() -> list[dict[str, Any]]:
            mails = await self.mails(to)
            return mails if len(mails) >= count else []

        return await until(enough, PATIENCE_SECONDS, f"{count} mails to {to}")

    async def refuse_mail(self, address: str, code: int) -> None:
        """From now on the mail server answers mail to an address with this code."""
        url = f"{self.url('catcher')}/refusals"
        answer = await self.shop.request("POST", url, json={"address": address, "code": code})
        assert answer.status == 200, answer.body

    async def send_again(self, order_id: UUID, *, to: str) -> None:
        """Wait until a mail of the order was given up, and send it to another address, as an operator does."""
        headers = {"Authorization": f"Bearer {SECRETS.operator_token}"}

        async def failed() -> list[dict[str, Any]]:
            url = f"{self.url('mailer')}/v1/admin/mails?order_id={order_id}"
            mails = (await self.shop.request("GET", url, headers=headers)).body["mails"]
            return [one for one in mails if one["status"] == "failed"]

        (mail,) = await until(failed, PATIENCE_SECONDS, "a mail is given up")
        url = f"{self.url('mailer')}/v1/admin/mails/{mail['id']}/resend"
        answer = await self.shop.request("POST", url, json={"email": to}, headers=headers)
        assert answer.status == 202, answer.body

    async def sums(self) -> list[Sum]:
        """P1, P3, P4 and P5 as they stand."""
        return check_sums(await read_books(self.wiring.database_urls, await self.shop.ledger()))

    async def sums_hold(self, timeout_seconds: float = PATIENCE_SECONDS, *, cases: int = 0) -> None:
        """Wait until every sum holds and no more than ``cases`` cases are open, without anybody's help."""
        sums: list[Sum] = []

        async def hold() -> bool:
            sums[:] = await self.sums()
            return all(one.holds for one in sums) and await self.open_cases() == cases

        try:
            await until(hold, timeout_seconds, "all sums hold")
        except AssertionError as error:
            wrong = [f"{one.promise} {one.text}: {one.faults}" for one in sums if not one.holds]
            raise AssertionError("; ".join(wrong)) from error

    async def open_cases(self) -> int:
        """Charges that are covered by neither tickets nor a finished refund."""
        count: int = await self.value("payments", "SELECT count(*) FROM open_cases")
        return count

    async def refunds(self, order_id: UUID) -> list[int]:
        """What the provider says it gave back for an order: the amounts in kobo."""
        rows = await self.rows("payments", "SELECT reference FROM attempts WHERE order_id = $1", order_id)
        references = {row["reference"] for row in rows}
        return [one["amount"] for one in (await self.shop.ledger())["refunds"] if one["reference"] in references]

    async def quiet(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no message is on its way: every outbox is empty twice in a row and every queue too."""

        async def is_quiet() -> bool:
            for _ in range(2):
                for name in durable_consumers():
                    (service, *_) = self.services[name]
                    async with service.database.acquire() as connection:
                        if await connection.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL"):
                            return False
                await asyncio.sleep(0.05)
            return True

        await until(is_quiet, timeout_seconds, "every outbox is empty")

    async def value(self, service: ServiceName, statement: str, *arguments: Any) -> Any:
        """One value of a service's database."""
        async with self.services[service][0].database.acquire() as connection:
            return await connection.fetchval(statement, *arguments)

    async def rows(self, service: ServiceName, statement: str, *arguments: Any) -> Sequence[Any]:
        """Rows of a service's database."""
        async with self.services[service][0].database.acquire() as connection:
            return list(await connection.fetch(statement, *arguments))


def settings_of(service: ServiceName, environment: Mapping[str, str], changes: Mapping[str, Any]) -> ServiceSettings:
    """A service's settings as its process would read them from this environment, with changes."""
    module = importlib.import_module(f"services.{service}.settings")
    prefix = f"{service.upper()}_"
    (settings_class,) = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, ServiceSettings) and one.model_config.get("env_prefix") == prefix
    ]
    own = {name[len(prefix) :].lower(): text for name, text in environment.items() if name.startswith(prefix)}
    made: ServiceSettings = settings_class(**own | dict(changes))
    return made


def build_service(service: ServiceName, settings: ServiceSettings) -> Running:
    """The service, not yet started."""
    built: Running = importlib.import_module(f"services.{service}.service").build(settings)
    return built


def make_settings(service: ServiceName, make_database: MakeDatabase) -> ServiceSettings:
    """Shipped settings of one service that is to run without a broker, on a fresh database."""
    wiring = Wiring(
        amqp_url="amqp://nobody@127.0.0.1:1/", database_urls={service: make_database(service)}, secrets=SECRETS
    )
    return settings_of(service, service_environment(service, 0, wiring), {"http_port": 0})


def make_wiring(amqp_url: str, namespace: str, make_database: MakeDatabase) -> Wiring:
    """Free ports for everything, and a fresh database for each service."""
    names = [*SERVICES, "sandbox", "catcher"]
    ports = choose_free_ports(len(names) + 1)
    inherited = {f"{name.upper()}_HTTP_PORT": str(port) for name, port in zip(names, ports, strict=False)}
    inherited["SANDBOX_PORT"] = inherited["SANDBOX_HTTP_PORT"]
    inherited["CATCHER_SMTP_PORT"] = str(ports[-1])
    return Wiring(
        amqp_url=amqp_url,
        database_urls={service: make_database(service) for service in durable_consumers()},
        secrets=SECRETS,
        namespace=namespace,
        inherited=inherited,
    )


@asynccontextmanager
async def system(
    wiring: Wiring,
    *,
    replicas: Mapping[ServiceName, int] | None = None,
    settings: Mapping[ServiceName, Mapping[str, Any]] | None = None,
    without: Sequence[ServiceName] = (),
    sandbox: Mapping[str, Any] | None = None,
    before_start: Callable[[ServiceName, Any], None] | None = None,
) -> AsyncIterator[System]:
    """Run everything, one of each service unless told otherwise. ``before_start`` gets each service as it is built."""
    async with AsyncExitStack() as stack:
        sandbox_settings = {
            "port": wiring.port("sandbox"),
            "webhook_url": f"{wiring.url('payments')}/webhooks/paystack",
            "refund_seconds": 0.05,
            "webhook_retry_seconds": (0.05, 0.2, 1.0, 2.0),
            **(sandbox or {}),
        }
        async with Wire(wiring.amqp_url, wiring.namespace):
            pass  # Declares all queues once, as the deploy step does: declaring them from ten connections is slow.
        await stack.enter_async_context(paystack(SandboxSettings(**sandbox_settings)))
        await stack.enter_async_context(
            catching(CatcherSettings(http_port=wiring.port("catcher"), smtp_port=wiring.port("smtp")))
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        shop = await stack.enter_async_context(Shop.open(wiring.url("gateway"), wiring.url("sandbox")))
        one = System(wiring, shop, session)
        for service in SERVICES:
            if service in without:
                continue
            changes = {**QUICK.get(service, {}), **(settings or {}).get(service, {})}
            one.services[service] = [
                build_service(service, settings_of(service, _environment(service, replica, wiring), changes))
                for replica in range((replicas or {}).get(service, 1))
            ]
            if before_start is not None:
                for each in one.services[service]:
                    before_start(service, each)
        # The gateway last: it is the first to stop, so that no buyer meets a half-drained system.
        order = sorted(one.services, key=lambda name: name == "gateway")
        await stack.enter_async_context(running(*(each for name in order for each in one.services[name])))
        yield one


def _environment(service: ServiceName, replica: int, wiring: Wiring) -> dict[str, str]:
    environment = service_environment(service, replica, wiring)
    if replica and service != "gateway":
        environment[f"{service.upper()}_HTTP_PORT"] = "0"
    return environment
