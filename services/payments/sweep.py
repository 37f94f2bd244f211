"""Holds Paystack's own lists against our rows, window after window, whatever webhooks and deadlines made of them.

One replica at a time sweeps a list: its row is the lease and the position. The position moves on after everything on a
page has had its effect, so a run that is killed anywhere goes on with that very page, and every effect is one that
happens once. Windows overlap, and once a day a deep one reaches back for days: Paystack lists by the time at which a
transaction was begun, and it may be paid much later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import structlog

from services.payments import store, store_sweep
from services.payments.domain import Attempt, Facts
from services.payments.domain_looks import decide_attempt_status, decide_next_look
from services.payments.domain_sweep import KnownCharge, ListName, Window, decide_next_place, differences
from services.payments.exceptions import NotSent, RateLimited, Refused, Unknown
from services.payments.finalise import Finalisation
from services.payments.outside import OutsideRefunds
from services.payments.paystack import Paystack
from services.payments.settings import PaymentsSettings
from services.payments.store_sweep import Reach
from services.payments.wire import RefundListed, read_facts
from shared.messaging.transaction import Transactions

_log = structlog.get_logger()

#: Pages one run takes before it lets the loop breathe.
PAGES = 50
#: Seconds by which a lease outlives one call and the effects of its page.
LEASE_MARGIN_SECONDS = 60.0
#: Seconds after which a list that could not be had is asked for again.
RETRY_SECONDS = 30.0
#: Refunds of another hand that one run follows.
OUTSIDE_LIMIT = 20


class Sweep:
    """Sweeps the lists of transactions and of refunds."""

    def __init__(
        self,
        transactions: Transactions,
        paystack: Paystack,
        finalisation: Finalisation,
        outside: OutsideRefunds,
        settings: PaymentsSettings,
    ) -> None:
        self._transactions = transactions
        self._paystack = paystack
        self._finalisation = finalisation
        self._outside = outside
        self._settings = settings
        self._lease_seconds = settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS
        self._claimant = uuid4()
        self._reach = Reach(
            overlap_seconds=settings.sweep_overlap_seconds,
            deep_seconds=settings.sweep_deep_seconds,
            deep_every_seconds=settings.sweep_deep_every_seconds,
            every_seconds=settings.sweep_every_seconds,
        )

    async def run_once(self) -> float | None:
        """Sweep what is due, within the budget of calls; returns the seconds until there is more to do."""
        try:
            await self._follow_outside()
            for name in ("transactions", "refunds"):
                if not await self._go_on(name):
                    return 0.0
        except RateLimited as error:
            # Over the budget, ours or Paystack's: the position is kept.
            return error.reset_seconds
        except (NotSent, Refused, Unknown) as error:
            _log.warning("the sweep waits", error=str(error), again_in_seconds=RETRY_SECONDS)
            return RETRY_SECONDS
        async with self._transactions.begin() as tx:
            seconds = await store.get_due(tx.connection, what="sweeps")
        return None if seconds is None else max(seconds, 0.0)

    async def _go_on(self, name: ListName) -> bool:
        """Take pages of one list; false when there are more."""
        for _ in range(PAGES):
            async with self._transactions.begin() as tx:
                window = await store_sweep.claim_sweep(
                    tx.connection,
                    name=name,
                    claimant=self._claimant,
                    lease_seconds=self._lease_seconds,
                    reach=self._reach,
                )
            if window is None:
                await self._release(name)
                return True
            try:
                is_done = await self._take_page(name, window)
            except (NotSent, RateLimited, Refused, Unknown):
                # Another replica may be luckier.
                await self._release(name)
                raise
            if is_done:
                await self._release(name)
                return True
        return False

    async def _release(self, name: ListName) -> None:
        async with self._transactions.begin() as tx:
            await store_sweep.release_sweep(tx.connection, name=name, claimant=self._claimant)

    async def _take_page(self, name: ListName, window: Window) -> bool:
        """One page and its effects; true at the end of the window, or when a rival has taken over."""
        async with self._transactions.begin() as tx:
            asked_at = await tx.read_now()
        try:
            page = await self._paystack.list_page(name, window, per_page=self._settings.sweep_page_rows)
        except Refused as error:
            if window.place.cursor is not None and error.http_status != 401:
                _log.warning("Paystack knows the sweep's cursor no more; the window begins again", error=str(error))
                async with self._transactions.begin() as tx:
                    await store_sweep.restart_sweep(tx.connection, name=name, claimant=self._claimant)
            raise
        if name == "transactions":
            await self._take_transactions(page.data, asked_at)
        else:
            await self._take_refunds(page.data)
        following = decide_next_place(window.place, rows=len(page.data), meta=page.meta)
        async with self._transactions.begin() as tx:
            is_ours = await store_sweep.mark_swept(
                tx.connection,
                name=name,
                claimant=self._claimant,
                place=window.place,
                following=following,
                every_seconds=self._reach.every_seconds,
            )
        return following is None or not is_ours

    # --- Transactions ---------------------------------------------------------------------------------------------

    async def _take_transactions(self, rows: Sequence[object], asked_at: datetime) -> None:
        listed = list(_read_all(rows))
        money = [facts for facts in listed if facts.is_paid or facts.went_back]
        async with self._transactions.begin() as tx:
            known = await store_sweep.list_known_charges(tx.connection, charge_ids=[facts.charge_id for facts in money])
        agreeing = []
        for facts in money:
            charge = known.get(facts.charge_id)
            if charge is None:
                # Never heard of: the webhook was lost, and the attempt given up, or of nobody.
                async with self._transactions.begin() as tx:
                    await self._finalisation.finalise(tx, facts, source="lookup")
            elif await self._compare(facts, charge):
                agreeing.append(facts.charge_id)
        async with self._transactions.begin() as tx:
            await store_sweep.close_findings(tx.connection, kind="amount_differs", charge_ids=agreeing)
        await self._take_unpaid([facts for facts in listed if not (facts.is_paid or facts.went_back)], asked_at)

    async def _compare(self, facts: Facts, charge: KnownCharge) -> bool:
        """Hold a known charge against the list; true where they agree."""
        if charge.verdict != "foreign" and facts.went_back and charge.explained_kobo == 0:
            await self._explain(facts, charge)
        why = differences(facts, charge)
        if why is None or charge.verdict == "foreign":
            return True
        async with self._transactions.begin() as tx:
            if await store_sweep.put_finding(tx.connection, kind="amount_differs", charge_id=charge.charge_id, why=why):
                _log.error("Paystack's list and a charge differ", charge_id=charge.charge_id, why=why)
        return False

    async def _explain(self, facts: Facts, charge: KnownCharge) -> None:
        """Money of a known charge went back, and no refund of ours did it."""
        found = await self._paystack.list_refunds(charge.charge_id)
        await self._outside.enter([(refund, charge.charge_id, charge.currency) for refund in found])
        if found or facts.status != "reversed":
            return
        lost = [one for one in await self._paystack.list_disputes(charge.charge_id) if one.is_lost]
        async with self._transactions.begin() as tx:
            for dispute in lost:
                await store_sweep.put_lost_dispute(
                    tx.connection, dispute=dispute, charge_id=charge.charge_id, currency=charge.currency
                )
            await store_sweep.put_finding(
                tx.connection,
                kind="dispute_lost" if lost else "reversed_elsewhere",
                charge_id=charge.charge_id,
                why="a dispute took the money" if lost else "Paystack says reversed, and lists nothing that did it",
            )

    async def _take_unpaid(self, listed: Sequence[Facts], asked_at: datetime) -> None:
        """A page answers for all open attempts on it at once, where each alone would cost a call."""
        by_reference = {facts.reference: facts for facts in listed}
        changed: list[Facts] = []
        async with self._transactions.begin() as tx:
            now = await tx.read_now()
            attempts = await store_sweep.list_listed_attempts(tx.connection, references=list(by_reference))
            payments = await store.list_payments(tx.connection, order_ids=[one.order_id for one in attempts])
            looks: list[tuple[Attempt, str, float | None]] = []
            for attempt in attempts:
                facts = by_reference[attempt.reference]
                if decide_attempt_status(attempt, facts, now=now) != attempt.status:
                    changed.append(facts)
                    continue
                looked = replace(attempt, verify_count=attempt.verify_count + 1)
                seconds = decide_next_look(payments[attempt.order_id], looked, self._finalisation.plan, now=now)
                looks.append((attempt, facts.status, seconds))
            await store_sweep.mark_attempts_listed(tx.connection, looks=looks)
        for facts in changed:
            async with self._transactions.begin() as tx:
                await self._finalisation.record(tx, facts.reference, facts, asked_at=asked_at)

    # --- Refunds --------------------------------------------------------------------------------------------------

    async def _take_refunds(self, rows: Sequence[object]) -> None:
        found = []
        for row in rows:
            try:
                one = RefundListed.model_validate(row)
            except ValueError as error:
                _log.error("a listed refund cannot be read", error=str(error)[:300])
                continue
            found.append((one.refund(), one.transaction, one.currency.upper()))
        await self._outside.enter(found)

    async def _follow_outside(self) -> None:
        async with self._transactions.begin() as tx:
            due = await store_sweep.claim_outside_refunds(
                tx.connection,
                limit=OUTSIDE_LIMIT,
                first_seconds=self._settings.refund_poll_seconds,
                most_seconds=self._settings.refund_poll_most_seconds,
            )
        for one in due:
            refund = await self._paystack.get_refund(one.provider_refund_id)
            await self._outside.enter([(refund, one.charge_id, one.currency)])


def _read_all(rows: Iterable[object]) -> Iterable[Facts]:
    for row in rows:
        try:
            yield read_facts(row)
        except ValueError as error:
            # It is not lost: if it is of ours, its attempt is asked about by itself.
            _log.error("a listed transaction cannot be read", error=str(error)[:300])
