"""How many calls of Paystack may be made, counted by all replicas together in the database, and who is next."""

from collections.abc import Mapping
from uuid import UUID

import structlog

from services.payments import store
from services.payments.domain import Turn
from services.payments.exceptions import OverBudget
from services.payments.paystack import Budget
from services.payments.settings import PaymentsSettings
from shared.postgres.database import Connection, Database
from shared.postgres.errors import PASSING

_log = structlog.get_logger()

#: Seconds by which a call may outlive the client's own time-out, on its way or in the other clock.
CALL_MARGIN_SECONDS = 5.0
#: Loops leave one part in so many of a budget to people who wait for an answer.
PATIENT_PART = 10
#: Buyers who left the queue so long ago are forgotten.
FORGET_TURNS_SECONDS = 3600.0


class Budgets:
    """Takes calls from the shared budgets. Each counts until one window after it has ended.

    Counting from its beginning would be wrong: a slow call arrives long after it was counted, together with calls
    that a later window allowed.
    """

    def __init__(self, database: Database, settings: PaymentsSettings) -> None:
        self._database = database
        self._limits: Mapping[Budget, int] = {
            "initialise": settings.initialise_per_minute,
            "verify": settings.verify_per_minute,
            "other": settings.other_per_minute,
        }
        self._window_seconds = settings.budget_window_seconds
        self._call_seconds = settings.paystack_timeout_seconds + CALL_MARGIN_SECONDS
        self._patience_seconds = settings.queue_patience_seconds

    async def take_turn(self, connection: Connection, order_id: UUID) -> Turn:
        """Count one call to initialise if it is this buyer's turn, else keep his place, at the caller's commit.

        Whoever waits far behind needs no lock; everybody else gets past this one at a time, until the commit.
        """
        turn = await self.look_at_turn(connection, order_id)
        if turn is not None and not turn.is_due:
            return turn
        await store.lock_budget(connection, name="initialise")
        turn = await self._turn(connection, order_id, is_locked=True)
        assert turn is not None, "under the lock everybody has a place"
        return turn

    async def look_at_turn(self, connection: Connection, order_id: UUID) -> Turn | None:
        """Where a buyer stands who is in the queue already; ``None`` for anybody else."""
        return await self._turn(connection, order_id, is_locked=False)

    async def _turn(self, connection: Connection, order_id: UUID, *, is_locked: bool) -> Turn | None:
        return await store.take_turn(
            connection,
            order_id=order_id,
            limit=self._limits["initialise"],
            window_seconds=self._window_seconds,
            call_seconds=self._call_seconds,
            patience_seconds=self._patience_seconds,
            is_locked=is_locked,
        )

    async def take(self, name: Budget, *, patient: bool = False) -> int:
        """Count one call; returns its number for ``end``. Raises OverBudget. Patient callers leave a tenth free."""
        limit = self._limits[name]
        async with self._database.acquire() as connection, connection.transaction():
            wait = await store.lock_budget(connection, name=name)
            call = None
            if wait == 0:
                call, wait = await store.take_call(
                    connection,
                    name=name,
                    limit=limit - limit // PATIENT_PART if patient else limit,
                    window_seconds=self._window_seconds,
                    call_seconds=self._call_seconds,
                )
        if call is None:
            raise OverBudget(wait)
        return call

    async def end(self, call: int) -> None:
        """The call has ended. Where that cannot be written it counts for as long as it could have lasted."""
        try:
            async with self._database.acquire() as connection:
                await store.end_call(connection, call=call)
        except PASSING as error:
            _log.warning("the end of a call could not be written", error=repr(error)[:300])

    async def pause(self, name: Budget, seconds: float) -> None:
        """Paystack said 429: nobody calls for so long."""
        async with self._database.acquire() as connection:
            await store.pause_budget(connection, name=name, seconds=seconds)

    async def forget_old(self) -> None:
        """Take away calls no window reaches any more, and buyers who left the queue."""
        async with self._database.acquire() as connection:
            await store.delete_calls(connection, older_than_seconds=2 * self._window_seconds)
            await store.delete_old_turns(connection, older_than_seconds=FORGET_TURNS_SECONDS)
