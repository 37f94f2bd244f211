"""The journal: booked by the database with each fact, once, balanced, never changed; and the sums an operator sees."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from boxoffice.__main__ import main as boxoffice
from deploy.local.databases import Templates
from shared.contracts.payments import PaymentConfirmedV1, PaymentRefundedV1, RefundFailedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.integration.payments_support import OPERATOR, Till, refund_of, till
from tests.integration.test_payments_money import ATTENTION_CARD, FAILING_CARD, charged
from tests.samples import issued, paid
from tests.waiting import until


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    """The database of payments."""
    return make_database("payments")


@asynccontextmanager
async def own_role(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection with the rights of the service itself."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def fulfilled(one: Till) -> PaymentConfirmedV1:
    """A charge whose order has its tickets."""
    charge = await charged(one)
    await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
    await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
    return charge


async def terms(one: Till) -> dict[str, int]:
    """The sums over all charges; asserts that every check holds."""
    ledger = await one.operator("/v1/admin/ledger")
    assert ledger["holds"], ledger["checks"]
    (whole,) = ledger["currencies"]
    return {name: whole[f"{name}_kobo"] for name in ("captured", "ticketed", "refunded", "settled", "open")}


async def booked(one: Till) -> list[tuple[str, str, int]]:
    """Every line of the journal, as kind of entry, account, kobo."""
    rows = await one.bench.fetch(
        "SELECT kind, account, kobo FROM journal JOIN journal_lines ON entry_id = id ORDER BY id, account"
    )
    return [tuple(row) for row in rows]


# --- What the database refuses --------------------------------------------------------------------------------------

ENTRY = "INSERT INTO journal (kind, fact, charge_id, currency) VALUES ('charge', $1, '1', 'NGN') RETURNING id"
LINE = "INSERT INTO journal_lines (entry_id, account, kobo) VALUES ($1, $2, $3)"


async def book(connection: "asyncpg.Connection[asyncpg.Record]", entry: int, lines: list[tuple[str, int]]) -> None:
    """Insert lines one by one, all of them or none."""
    async with connection.transaction():
        for account, kobo in lines:
            await connection.execute(LINE, entry, account, kobo)


@pytest.mark.parametrize(
    "lines",
    [[], [("provider", 5)], [("provider", 5), ("open", -4)], [("provider", 5), ("open", -4), ("fees", -2)]],
    ids=["no line", "one line", "two lines", "three lines"],
)
async def test_an_unbalanced_entry_is_refused_at_the_commit(database_url: str, lines: list[tuple[str, int]]) -> None:
    async with own_role(database_url) as connection:
        begun = connection.transaction()
        await begun.start()
        await book(connection, await connection.fetchval(ENTRY, "x"), lines)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            await begun.commit()
        assert await connection.fetchval("SELECT count(*) FROM journal") == 0


async def test_a_balanced_entry_is_taken_and_nothing_can_be_added_to_it_later(database_url: str) -> None:
    async with own_role(database_url) as connection:
        async with connection.transaction():
            entry = await connection.fetchval(ENTRY, "x")
            await book(connection, entry, [("provider", 5), ("open", -5)])
        for lines in ([("fees", 1)], [("fees", 1), ("tickets", -1)]):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not booked by this transaction"):
                await book(connection, entry, lines)
        assert await connection.fetchval("SELECT count(*) FROM journal_lines") == 2


async def test_the_balance_cannot_be_evaded(database_url: str) -> None:
    """By checking early, by naming another transaction, by switching the checks off, by tables of the same name."""
    async with own_role(database_url) as connection:
        begun = connection.transaction()
        await begun.start()
        entry = await connection.fetchval(ENTRY, "x")
        await book(connection, entry, [("provider", 5), ("open", -5)])
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            await book(connection, entry, [("fees", 1)])
        await begun.rollback()
        async with connection.transaction():
            forged = await connection.fetchval(
                "INSERT INTO journal (kind, fact, charge_id, currency, booked_by)"
                " VALUES ('charge', 'y', '1', 'NGN', '1'::xid8) RETURNING id"
            )
            await book(connection, forged, [("provider", 5), ("open", -5)])
        assert await connection.fetchval("SELECT booked_by <> '1'::xid8 FROM journal WHERE id = $1", forged)
        for statement in (
            "ALTER TABLE journal_lines DISABLE TRIGGER ALL",
            "DROP TRIGGER journal_lines_balanced ON journal_lines",
            "SET session_replication_role = replica",
            "CREATE TEMP TABLE journal_lines (entry_id bigint, account text, kobo bigint)",
            "UPDATE charge_balances SET open_kobo = 0",
            "INSERT INTO charge_balances VALUES ('9', 'NGN', 0, 0, 0, 0, 0, 0, 0)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize("table", ["journal", "journal_lines", "settlements"])
async def test_what_is_booked_is_never_changed(database_url: str, templates: Templates, table: str) -> None:
    statements = (f"UPDATE {table} SET charge_id = '2'", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE")
    if table == "journal_lines":
        statements = ("UPDATE journal_lines SET kobo = kobo", *statements[1:])
    async with own_role(database_url) as connection:
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    async with own_role(templates.admin(database_url)) as administrator:
        for statement in statements:
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changed"):
                await administrator.execute(statement)


# --- What is booked -------------------------------------------------------------------------------------------------


async def test_a_fulfilled_charge_is_booked_with_its_fee_once(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        await one.come_back(charge.reference)
        fee = await one.bench.value("SELECT fees_kobo FROM charges")
        amount = charge.amount_kobo
        assert await booked(one) == [
            ("charge", "open", -amount), ("charge", "provider", amount),
            ("fee", "fees", fee), ("fee", "provider", -fee),
            ("tickets", "open", amount), ("tickets", "tickets", -amount),
        ]  # fmt: skip
        assert await terms(one) == {"captured": amount, "ticketed": amount, "refunded": 0, "settled": 0, "open": 0}
        ((event,),) = [(await one.operator("/v1/admin/ledger"))["events"]]
        assert (event["title"], event["ticketed_kobo"]) == ("Night of the Long Drums", amount)


async def test_what_rolls_back_is_not_booked(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        async with one.service.database.acquire() as connection:
            begun = connection.transaction()
            await begun.start()
            await connection.execute(
                "UPDATE payments SET ticketed_charge_id = $2 WHERE order_id = $1", charge.order_id, charge.charge_id
            )
            await begun.rollback()
        assert (await terms(one))["ticketed"] == 0


async def test_a_refund_moves_the_money_step_by_step(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        half = charge.amount_kobo // 2
        await one.bench.deliver(refund_of(charge, purpose="organiser", amount_kobo=half))
        await one.wait_for(PaymentRefundedV1)
        assert [row for row in await booked(one) if row[0].startswith("refund")] == [
            ("refund_owed", "owed", -half), ("refund_owed", "tickets", half),
            ("refund_paid", "owed", half), ("refund_paid", "provider", -half),
        ]  # fmt: skip
        whole = await terms(one)
        assert (whole["ticketed"], whole["refunded"], whole["open"]) == (charge.amount_kobo - half, half, 0)
        assert await one.cases() == []


async def test_a_refund_that_fails_leaves_its_money_open_until_an_operator_says_what_became_of_it(
    database_url: str,
) -> None:
    async with till(database_url) as one:
        charge = await charged(one, card=FAILING_CARD)
        await one.bench.deliver(refund_of(charge))
        await one.wait_for(RefundFailedV1)
        assert (await terms(one))["open"] == charge.amount_kobo
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]
        assert (case["kind"], case["open_kobo"], case["closed_by_hand"]) == ("refund_failed", charge.amount_kobo, True)
        assert await close(one, case["case_id"], reason="x") == 422
        assert await close(one, case["case_id"], token="gate-0123456789abc") == 403
        assert await close(one, case["case_id"]) == 200
        assert await close(one, case["case_id"]) == 404
        assert await terms(one) == {
            "captured": charge.amount_kobo, "ticketed": 0, "refunded": 0, "settled": charge.amount_kobo, "open": 0,
        }  # fmt: skip
        assert await one.cases() == []
        assert await one.bench.value("SELECT settled_by || ': ' || reason FROM settlements") == "operator: sent by hand"


async def test_a_case_that_closes_by_itself_is_not_closed_by_hand(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]
        assert await close(one, case["case_id"]) == 409
        assert await close(one, "unknown_reference:1") == 404
        assert await one.cases() == [("charge_without_answer", charge.charge_id)]


async def test_each_case_appears_at_once_and_closes_by_itself(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        assert await one.cases() == [("charge_without_answer", charge.charge_id)]
        await one.bench.deliver(paid(charge.order_id, charge_id=charge.charge_id))
        assert await one.cases() == [("paid_without_tickets", charge.charge_id)]
        await one.service.cases.run_once()
        async with one.http.get("/metrics") as answer:
            assert 'payments_open_cases{currency="NGN",kind="paid_without_tickets"} 1.0' in await answer.text()
        await one.bench.deliver(issued(charge.order_id, charge_id=charge.charge_id))
        assert await one.cases() == []
        await one.service.cases.run_once()
        async with one.http.get("/metrics") as answer:
            assert "payments_open_cases{" not in await answer.text()

        free = new_id()
        await one.bench.deliver(paid(free, total_kobo=0, charge_id=None))
        assert [kind for kind, _ in await one.cases()] == ["paid_without_tickets"]
        await one.bench.deliver(issued(free, charge_id=None))
        assert await one.cases() == []

        waiting = await charged(one, card=ATTENTION_CARD)
        await one.bench.deliver(refund_of(waiting))

        async def needs_attention() -> bool:
            return await one.cases() == [("refund_needs_attention", waiting.charge_id)]

        assert await until(needs_attention, 20, "the refund needs attention")


async def test_the_metrics_show_the_sums_and_what_is_off(database_url: str, templates: Templates) -> None:
    async with till(database_url) as one:
        charge = await fulfilled(one)
        await one.service.books.run_once()
        async with one.http.get("/metrics") as answer:
            text = await answer.text()
        (shown,) = re.findall(r'^payments_ledger_kobo{currency="NGN",term="ticketed"} (\S+)$', text, re.MULTILINE)
        assert float(shown) == charge.amount_kobo
        assert "payments_ledger_checks_off 0.0" in text
        await tamper(templates, database_url, "UPDATE charges SET amount_kobo = amount_kobo + 100")
        await one.service.books.run_once()
        async with one.http.get("/metrics") as answer:
            assert "payments_ledger_checks_off 2.0" in await answer.text()


async def test_refunds_of_one_charge_that_end_together_are_both_booked(database_url: str) -> None:
    async with till(database_url) as one:
        charge = await charged(one)
        ids = [
            await one.bench.value(
                "INSERT INTO refunds (id, order_id, charge_id, purpose, reference, amount_kobo, currency, why, status,"
                " provider_refund_id, next_at) VALUES (gen_random_uuid(), $1, $2, $3, 'r', $4, 'NGN', 'x', 'started',"
                " $5, now() + interval '1 h') RETURNING id",
                charge.order_id, charge.charge_id, purpose, charge.amount_kobo // 2, number,
            )
            for purpose, number in (("late", "1"), ("double", "2"))
        ]  # fmt: skip
        both = asyncio.Barrier(2)

        async def end(refund_id: UUID) -> None:
            async with one.service.transactions.begin() as tx:
                await both.wait()
                await tx.connection.execute(
                    "UPDATE refunds SET status = 'processed', next_at = NULL, finished_at = now() WHERE id = $1",
                    refund_id,
                )

        await asyncio.gather(*(end(refund_id) for refund_id in ids))
        assert (await terms(one))["refunded"] == charge.amount_kobo // 2 * 2


async def test_an_upgraded_database_books_what_was_there(database_url: str, templates: Templates) -> None:
    """The migration's own loop, over a database whose journal is taken away."""
    async with till(database_url) as one:
        await fulfilled(one)
        late, failing = await charged(one), await charged(one, card=FAILING_CARD)
        await one.bench.deliver(refund_of(late))
        await one.bench.deliver(refund_of(failing))
        await one.wait_for(PaymentRefundedV1)
        await one.wait_for(RefundFailedV1)
        before = await terms(one)
        cases = await one.cases()
        async with own_role(templates.admin(database_url)) as administrator:
            for table in ("journal", "journal_lines"):
                await administrator.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await administrator.execute("TRUNCATE journal, journal_lines, charge_balances")
            for table in ("journal", "journal_lines"):
                await administrator.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            await administrator.execute(backfill())
        assert await terms(one) == before
        assert await one.cases() == cases


def backfill() -> str:
    """The last statement of the migration that made the journal."""
    text = (Path(__file__).parents[2] / "services/payments/migrations/0007_keep_journal.sql").read_text()
    return text[text.rindex("DO $$") :]


# --- `boxoffice ledger` ---------------------------------------------------------------------------------------------


async def test_the_command_says_with_its_exit_code_whether_the_sums_hold(
    database_url: str, templates: Templates, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:  # fmt: skip
    monkeypatch.setenv("BOXOFFICE_STATE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("BOXOFFICE_OPERATOR_TOKEN", OPERATOR)
    async with till(database_url) as one:
        monkeypatch.setenv("BOXOFFICE_PAYMENTS_URL", f"http://127.0.0.1:{one.http._base_url.port}")  # type: ignore[union-attr]
        charge = await fulfilled(one)
        await one.paystack.settle("bx-never-heard-of", create=True, amount=70_000)
        await one.paystack.idle()
        (case,) = (await one.operator("/v1/admin/cases"))["cases"]

        async def command(*words: str) -> int:
            monkeypatch.setattr("sys.argv", ["boxoffice", *words])
            return await asyncio.to_thread(boxoffice)

        assert await command("ledger") == 0
        text = capsys.readouterr().out
        assert "Night of the Long Drums" in text
        assert case["case_id"] in text
        assert f"NGN {(charge.amount_kobo + 70_000) // 100:,}.00" in text
        assert await command("ledger", "--json") == 0
        assert '"holds": true' in capsys.readouterr().out
        assert await command("case", "close", case["case_id"], "--reason", "the owner's other shop") == 0
        assert await command("case", "close", case["case_id"], "--reason", "the owner's other shop") == 1
        assert (await terms(one))["settled"] == 70_000
        for tampering in (
            "UPDATE journal_lines SET kobo = kobo + 1 WHERE account = 'tickets'",
            "UPDATE charges SET amount_kobo = amount_kobo + 1",
        ):
            await tamper(templates, database_url, tampering)
            capsys.readouterr()
            assert await command("ledger") == 1
            assert "IS OFF" in capsys.readouterr().out
            await tamper(templates, database_url, tampering.replace("+ 1", "- 1"))
            assert await command("ledger") == 0
    assert await command("ledger") == 3
    assert await command("ledger", "--nonsense") == 2


async def tamper(templates: Templates, database_url: str, statement: str) -> None:
    """Change what no service may, as an administrator who takes the guards away first."""
    async with own_role(templates.admin(database_url)) as administrator, administrator.transaction():
        await administrator.execute("SET LOCAL session_replication_role = replica")
        await administrator.execute(statement)


async def close(one: Till, case_id: str, *, reason: str = "sent by hand", token: str = OPERATOR) -> int:
    """Close a case; the answer's status."""
    headers = {"Authorization": f"Bearer {token}"}
    async with one.http.post(f"/v1/admin/cases/{case_id}/close", json={"reason": reason}, headers=headers) as answer:
        return answer.status
