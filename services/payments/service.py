"""The payments service put together."""

from services.payments.arrivals import Arrivals
from services.payments.budget import Budgets
from services.payments.disputes import SweepDisputes, TellDisputes
from services.payments.finalise import Finalisation, Wakes
from services.payments.handlers import PaymentHandlers
from services.payments.http import MAX_BODY_BYTES, Routes
from services.payments.http_ledger import LedgerRoutes
from services.payments.ledger import Books
from services.payments.loops import AskAgain, CountCases, TakeUpReceipts
from services.payments.outside import OutsideRefunds
from services.payments.paying import Paying
from services.payments.paystack import Paystack
from services.payments.refunding import Refunding
from services.payments.settings import PaymentsSettings
from services.payments.store import SQL
from services.payments.sweep import Sweep
from services.payments.verifying import Verifying
from services.payments.webhooks import Webhooks
from shared.http.timeline import timeline_route
from shared.http.tokens import Tokens
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from shared.runtime.settings import parse_keys, parse_roles

#: Seconds between two counts of the open cases.
CASES_SECONDS = 5.0
#: Seconds between two looks at all sums; they read every charge, and each replica looks.
LEDGER_SECONDS = 300.0

Periodic = Verifying | Refunding | AskAgain | TakeUpReceipts | CountCases | Books | Sweep | TellDisputes | SweepDisputes


class PaymentsService(Service):
    """A service with one more thing to close: the connections to Paystack."""

    def __init__(self, settings: PaymentsSettings, *, clock: Clock | None = None) -> None:
        super().__init__("payments", settings, clock=clock)
        # Webhooks need only Postgres, so a broker that is away must not take this replica out of service.
        self.needs_broker = False
        self.budgets = Budgets(self.database, settings)
        self.paystack = Paystack(
            settings.paystack_url,
            settings.secret_keys,
            timeout_seconds=settings.paystack_timeout_seconds,
            meter=self.budgets,
        )
        arrivals = Arrivals()
        wakes = Wakes(
            refunds=lambda: refund_loop.wake(),  # noqa: PLW0108 - the loop is made below
            asking=lambda: ask_loop.wake(),  # noqa: PLW0108
            verifying=lambda: verify_loop.wake(),  # noqa: PLW0108
            sweeping=lambda: sweep_loop.wake(),  # noqa: PLW0108
            disputes=lambda: dispute_loop.wake(),  # noqa: PLW0108
            news=lambda order_id: arrivals.notify([order_id]),
        )
        tokens = Tokens(parse_keys(settings.token_keys))
        finalisation = Finalisation(settings, wakes)
        webhooks = Webhooks(self.transactions, finalisation, wakes)
        self.verifying = Verifying(self.transactions, self.paystack, self.budgets, finalisation, settings)
        outside = OutsideRefunds(self.transactions, settings)
        self.refunding = Refunding(self.transactions, self.paystack, self.budgets, outside, settings)
        self.sweep = Sweep(self.transactions, self.paystack, finalisation, outside, settings)
        self.asking = AskAgain(self.transactions, self.metrics, settings)
        self.receipts = TakeUpReceipts(self.transactions, webhooks)
        self.cases = CountCases(self.transactions, self.metrics)
        self.disputes = TellDisputes(self.transactions, self.metrics, settings)
        self.dispute_sweep = SweepDisputes(self.transactions, self.paystack, wakes.disputes)
        self.books = Books(self.transactions, self.metrics)
        self.paying = Paying(self.transactions, self.paystack, self.budgets, self.verifying, arrivals, tokens, settings)

        def loop(name: str, run: Periodic, every: float) -> Loop:
            return self.add_loop(Loop(name, run.run_once, interval_seconds=every, clock=self.clock))

        poll = settings.poll_seconds
        verify_loop = loop("verify attempts", self.verifying, poll)
        refund_loop = loop("refund", self.refunding, poll)
        dispute_loop = loop("tell disputes", self.disputes, poll)
        loop("sweep disputes", self.dispute_sweep, settings.dispute_sweep_seconds)
        ask_loop = loop("ask again", self.asking, poll)
        sweep_loop = loop("sweep", self.sweep, settings.sweep_every_seconds)
        loop("take up receipts", self.receipts, poll)
        loop("count cases", self.cases, CASES_SECONDS)
        loop("add up the ledger", self.books, LEDGER_SECONDS)
        self.consume(PaymentHandlers(settings, finalisation, wakes).all())
        roles = parse_roles(settings.admin_tokens)
        timeline = timeline_route(self.database, SQL["list_timeline"], roles)
        routes = Routes(
            self.transactions,
            self.paying,
            self.verifying,
            webhooks,
            tokens,
            roles,
            settings,
            self.metrics,
        )
        ledger_routes = LedgerRoutes(self.transactions, self.books, roles)
        self.serve([*routes.all(), *ledger_routes.all(), timeline], max_body_bytes=MAX_BODY_BYTES)

    async def stop(self) -> None:
        """Drain, then close the connections to Paystack."""
        await super().stop()
        await self.paystack.close()


def build(settings: PaymentsSettings, clock: Clock | None = None) -> PaymentsService:
    """The service, not yet started."""
    return PaymentsService(settings, clock=clock)
