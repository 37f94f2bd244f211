"""The ledger as an operator sees it: the sums, whether they meet, and the open cases; also as metrics."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from prometheus_client import Gauge

from services.payments import store_ledger, store_money
from services.payments.domain_ledger import CLOSED_BY_HAND, TERMS, WHAT_TO_DO, Check, add_currencies, check_ledger
from shared.messaging.transaction import Transactions
from shared.runtime.metrics import Metrics

#: Open cases one answer lists.
MAX_CASES = 1000

Closing = Literal["closed", "not_found", "closes_by_itself", "under_way"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All money at one moment."""

    currencies: list[dict[str, Any]]
    events: list[dict[str, Any]]
    checks: list[Check]
    cases: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether every sum meets."""
        return all(check.holds for check in self.checks)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "holds": self.holds,
            "currencies": self.currencies,
            "events": self.events,
            "checks": [{**asdict(check), "holds": check.holds} for check in self.checks],
            "cases": self.cases,
        }


class Books:
    """Reads the ledger, shows it as metrics, and lets an operator close what no service can."""

    def __init__(self, transactions: Transactions, metrics: Metrics) -> None:
        self._transactions = transactions
        self._kobo = Gauge(
            "payments_ledger_kobo", "Money by what covers it", ["term", "currency"], registry=metrics.registry
        )
        self._off = Gauge(
            "payments_ledger_checks_off", "Checks of the ledger that do not hold", registry=metrics.registry
        )

    async def read(self) -> Ledger:
        """The ledger of this moment."""
        async with self._transactions.begin() as tx:
            await store_ledger.begin_snapshot(tx.connection)
            sums = await store_ledger.read_sums(tx.connection)
            cases = await store_money.list_cases(tx.connection, limit=MAX_CASES)
        return Ledger(
            currencies=add_currencies(sums.events),
            events=sums.events,
            checks=check_ledger(events=sums.events, accounts=sums.accounts, facts=sums.facts),
            cases=[describe(case) for case in cases],
        )

    async def run_once(self) -> float | None:
        """Show the sums as metrics."""
        ledger = await self.read()
        self._kobo.clear()
        for row in ledger.currencies:
            for name in TERMS:
                self._kobo.labels(name.removesuffix("_kobo"), row["currency"]).set(row[name])
        self._off.set(sum(not check.holds for check in ledger.checks))
        return None

    async def close(self, case_id: str, *, reason: str, role: str) -> Closing:
        """Write down what became of a case that no service can close. The money it held counts as settled."""
        async with self._transactions.begin() as tx:
            case = await store_ledger.get_case(tx.connection, case_id=case_id)
            if case is None:
                return "not_found"
            if case["kind"] not in CLOSED_BY_HAND:
                return "closes_by_itself"
            open_kobo, owed_kobo = await store_ledger.lock_balance(tx.connection, charge_id=case["charge_id"])
            if owed_kobo:
                return "under_way"
            is_new = await store_ledger.insert_settlement(
                tx.connection,
                case_id=case_id,
                kind=case["kind"],
                charge_id=case["charge_id"],
                order_id=case["order_id"],
                kobo=open_kobo,
                currency=case["currency"],
                reason=reason,
                settled_by=role,
            )
        return "closed" if is_new else "not_found"


def describe(case: dict[str, Any]) -> dict[str, Any]:
    """A case with what is to be done about it."""
    return {
        **case,
        "what_to_do": WHAT_TO_DO.get(case["kind"], "Look at it."),
        "closed_by_hand": case["kind"] in CLOSED_BY_HAND,
    }
