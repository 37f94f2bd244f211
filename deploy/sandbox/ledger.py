"""The working set: every record in memory, with the ways to find it, in front of the journal."""

from collections.abc import Callable, Iterable

from deploy.sandbox.journal import Journal
from deploy.sandbox.model import CAPTURED, Delivery, Dispute, Record, Refund, Transaction

_KEEP_DELIVERIES = 50_000


class Ledger:
    """All transactions, refunds, disputes and webhook deliveries of one integration."""

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        """Load what the journal has."""
        self.journal = journal
        self._clock = clock
        self._last_id = 0
        self.transactions: dict[int, Transaction] = {}
        self.refunds: dict[int, Refund] = {}
        self.disputes: dict[int, Dispute] = {}
        self.deliveries: dict[int, Delivery] = {}
        self._by_reference: dict[str, int] = {}
        self._by_access_code: dict[str, int] = {}
        self._refunds_of: dict[int, list[int]] = {}
        self._disputes_of: dict[int, list[int]] = {}
        self._customers: dict[str, int] = {}
        for record in journal.load():
            self._index(record)

    def new_id(self) -> int:
        """Return an id that was never given before, not even by a sandbox that has lost its memory.

        It comes from the clock and is larger than 2**53, so that a client that keeps ids in 32 bits or in a double
        is found out.
        """
        self._last_id = max(self._last_id + 1, int(self._clock() * 1_000_000) * 8)
        return self._last_id

    def customer_id(self, email: str) -> int:
        """Return the id of the customer with this address, a new one for a new address."""
        key = email.lower()
        if key not in self._customers:
            self._customers[key] = self.new_id()
        return self._customers[key]

    def save(self, record: Record) -> None:
        """Put a new or changed record in its place."""
        self._index(record)
        self.journal.mark(record)

    async def saved(self) -> None:
        """Wait until everything saved so far would survive the death of this process."""
        await self.journal.saved()

    def by_reference(self, reference: str) -> Transaction | None:
        """Find a transaction by its reference."""
        found = self._by_reference.get(reference)
        return None if found is None else self.transactions[found]

    def by_access_code(self, access_code: str) -> Transaction | None:
        """Find a transaction by the code in its page's address."""
        found = self._by_access_code.get(access_code)
        return None if found is None else self.transactions[found]

    def find(self, reference_or_id: str) -> Transaction | None:
        """Find a transaction by reference or by id, as the refund call allows."""
        found = self.by_reference(reference_or_id)
        if found is None and reference_or_id.isdecimal():
            found = self.transactions.get(int(reference_or_id))
        return found

    def refunds_of(self, transaction: int) -> list[Refund]:
        """List the refunds of one charge, oldest first."""
        return [self.refunds[refund] for refund in self._refunds_of.get(transaction, ())]

    def disputes_of(self, transaction: int) -> list[Dispute]:
        """List the disputes of one charge, oldest first."""
        return [self.disputes[dispute] for dispute in self._disputes_of.get(transaction, ())]

    def charges(self) -> Iterable[Transaction]:
        """List everything that was ever captured, oldest first."""
        return (t for t in self.transactions.values() if t.status in CAPTURED)

    def _index(self, record: Record) -> None:
        self._last_id = max(self._last_id, record.id)
        match record:
            case Transaction():
                self.transactions[record.id] = record
                self._by_reference[record.reference] = record.id
                self._by_access_code[record.access_code] = record.id
                self._customers.setdefault(record.email.lower(), record.customer_id)
            case Refund():
                if record.id not in self.refunds:
                    self._refunds_of.setdefault(record.transaction, []).append(record.id)
                self.refunds[record.id] = record
            case Dispute():
                if record.id not in self.disputes:
                    self._disputes_of.setdefault(record.transaction, []).append(record.id)
                self.disputes[record.id] = record
            case Delivery():
                self.deliveries[record.id] = record
                self._drop_old_deliveries()

    def _drop_old_deliveries(self) -> None:
        if len(self.deliveries) <= _KEEP_DELIVERIES:
            return
        oldest = next(iter(self.deliveries))
        if self.deliveries[oldest].status != "pending":
            del self.deliveries[oldest]
            self.journal.forget(oldest)


def refunded_amount(refunds: Iterable[Refund]) -> int:
    """Sum what has left the merchant's balance: every refund that has not failed."""
    return sum(refund.amount for refund in refunds if refund.status != "failed")


def processed_amount(refunds: Iterable[Refund]) -> int:
    """Sum what has reached the customer."""
    return sum(refund.amount for refund in refunds if refund.status == "processed")
