"""Whether the sums of money meet, and what an operator can do about each open case. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How each account of the journal shows in the sums over charges; debits are positive in the journal.
_ACCOUNTS: Mapping[str, tuple[str, ...]] = {
    "provider": ("captured_kobo", "-refunded_kobo", "-fees_kobo"),
    "fees": ("fees_kobo",),
    "tickets": ("-ticketed_kobo",),
    "settled": ("-settled_kobo",),
    "open and owed": ("-open_kobo",),
}
TERMS = ("captured_kobo", "ticketed_kobo", "refunded_kobo", "settled_kobo", "open_kobo", "fees_kobo")

#: What closes each kind of case.
WHAT_TO_DO: Mapping[str, str] = {
    "charge_without_answer": "Nothing: the services go on asking until tickets or a refund answer. If it grows old, one"
    " of orders, inventory or ticketing is not at work.",
    "paid_without_tickets": "Nothing: orders asks ticketing again until there are tickets. If it grows old, look at"
    " ticketing and at its dead letters.",
    "refund_under_way": "Nothing: Paystack is asked until the money has arrived.",
    "mismatch": "Nothing: the money goes back by itself.",
    "refund_failed": "Send the money another way, then close the case with a note of how. A refund in the dashboard is"
    " found and closes it by itself.",
    "refund_needs_attention": "Give Paystack the buyer's account number in its dashboard.",
    "refund_without_charge": "The charge is not here, as after a restored backup: the sweep of Paystack's list brings"
    " it.",
    "unknown_reference": "Find out whose money it is. Refund it in the dashboard, which closes the case, or close it"
    " with a note of why it is kept.",
    "refunded_elsewhere": "The money is gone and the tickets are valid. Refund the order, which revokes its tickets and"
    " pays nothing twice, or close the case with a note of why they stay valid.",
    "reversed_elsewhere": "Paystack took the money back without a refund that we can see. Look at the charge in its"
    " dashboard, then close the case with a note.",
    "dispute": "Answer it in Paystack's dashboard before it is due: unanswered it counts as accepted. The case closes"
    " by itself.",
    "dispute_lost": "A dispute took the money. Its tickets are revoked by themselves where all of the order was lost."
    " Where it was a part, refund those places or leave them, then close the case with a note.",
    "amount_differs": "Paystack's list and the charge as it was told us do not agree. Ask Paystack, then close the case"
    " with a note.",
}
#: Cases that no service can close: a person may, with a reason that is kept.
CLOSED_BY_HAND = frozenset(
    {"refund_failed", "unknown_reference", "refunded_elsewhere", "reversed_elsewhere", "dispute_lost", "amount_differs"}
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be true of all money, and what is wrong where it is not."""

    name: str
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def add_currencies(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same sums over all events, by currency."""
    sums: dict[str, dict[str, Any]] = {}
    for row in events:
        whole = sums.setdefault(row["currency"], {"currency": row["currency"], **dict.fromkeys(TERMS, 0), "charges": 0})
        for name in (*TERMS, "charges"):
            whole[name] += row[name]
    return [sums[currency] for currency in sorted(sums)]


def check_ledger(
    *,
    events: Iterable[Mapping[str, Any]],
    accounts: Iterable[Mapping[str, Any]],
    facts: Iterable[Mapping[str, Any]],
) -> list[Check]:
    """Every check of one ledger: the journal in itself, against the charges one by one, and against the facts."""
    rows = list(events)
    currencies = {row["currency"]: row for row in add_currencies(rows)}
    journal: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in accounts:
        name = "open and owed" if row["account"] in {"open", "owed"} else row["account"]
        journal[row["currency"]][name] += row["kobo"]
    said: dict[str, dict[str, int]] = defaultdict(dict)
    for row in facts:
        said[row["currency"]][row["term"]] = row["kobo"]
    return [
        Check("the journal balances", tuple(_unbalanced(journal))),
        Check("captured = ticketed + refunded + settled + open", tuple(_off(rows))),
        Check("every charge is covered once", tuple(_wrong_charges(rows))),
        Check("the charges come to what the journal says", tuple(_differing(currencies, journal))),
        Check("the facts come to what the journal says", tuple(_unlike_facts(currencies, said))),
    ]


def _unbalanced(journal: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    for currency, accounts in journal.items():
        if over := sum(accounts.values()):
            yield f"{currency}: debits and credits differ by {over}"


def _off(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        covered = sum(row[name] for name in ("ticketed_kobo", "refunded_kobo", "settled_kobo", "open_kobo"))
        if over := row["captured_kobo"] - covered:
            yield f"{row['currency']}, event {row['event_id']}: {over} kobo are covered by nothing, or twice"


def _wrong_charges(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        if row["wrong_charges"]:
            yield f"{row['currency']}, event {row['event_id']}: {row['wrong_charges']} charges do not add up"


def _differing(currencies: Mapping[str, Mapping[str, Any]], journal: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    for currency in sorted({*currencies, *journal}):
        for account, terms in _ACCOUNTS.items():
            charged = sum(_term(currencies.get(currency, {}), term) for term in terms)
            booked = journal.get(currency, {}).get(account, 0)
            if charged != booked:
                yield f"{currency}, {account}: {booked} in the journal, {charged} by the charges"


def _term(row: Mapping[str, Any], term: str) -> int:
    name = term.removeprefix("-")
    return int(row.get(name, 0)) * (-1 if term.startswith("-") else 1)


def _unlike_facts(currencies: Mapping[str, Mapping[str, Any]], said: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    for currency in sorted({*currencies, *said}):
        for term in ("captured", "refunded", "settled", "open"):
            booked = currencies.get(currency, {}).get(f"{term}_kobo", 0)
            fact = said.get(currency, {}).get(term, 0)
            if booked != fact:
                yield f"{currency}, {term}: {booked} in the journal, {fact} by the rows themselves"
