"""Amounts and fees. Pure."""

import re
from typing import Final

from deploy.sandbox.refusals import AMOUNT_NOT_INTEGER, AMOUNT_REQUIRED, INVALID_AMOUNT, Refusal

MINIMUM_KOBO: Final = 5_000
MAXIMUM_SUBUNITS: Final = 10_000_000 * 100
_NUMBER: Final = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


def parse_amount(value: object) -> int | Refusal:
    """Read an amount in subunits as Paystack does: 20000, "20000" and 20000.0 are the same, 100.5 is refused."""
    if value is None or value == "":
        return AMOUNT_REQUIRED
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return INVALID_AMOUNT
    text = str(value).strip()
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        text = str(int(value))
    if not _NUMBER.fullmatch(text):
        return INVALID_AMOUNT
    if "." in text and (isinstance(value, str) or not float(text).is_integer()):
        return AMOUNT_NOT_INTEGER
    amount = int(text)
    return amount if 0 < amount <= MAXIMUM_SUBUNITS else INVALID_AMOUNT


def local_fee(amount: int) -> int:
    """Return the fee of a Nigerian card in kobo: 1.5 % plus N100 (waived below N2,500), N2,000 at most."""
    fee = -(-amount * 15 // 1000)
    if amount >= 250_000:
        fee += 10_000
    return min(fee, 200_000)


def fee_for(amount: int, currency: str) -> int:
    """Return the fee in the currency's subunit; outside NGN Paystack charges 3.9 % for international cards."""
    return local_fee(amount) if currency == "NGN" else -(-amount * 39 // 1000)


def with_fee(amount: int, currency: str) -> int:
    """Return what a customer who bears the fee is charged: the smallest amount that leaves ``amount`` after the fee."""
    charged = amount
    while (due := amount + fee_for(charged, currency)) > charged:
        charged = due
    return charged


def naira(amount: int, currency: str = "NGN") -> str:
    """Write an amount for people, for example ``₦5,000.00``."""
    sign = {"NGN": "₦", "USD": "$", "GHS": "GH₵", "ZAR": "R", "KES": "KSh "}.get(currency, currency + " ")
    return f"{sign}{amount // 100:,}.{amount % 100:02d}"
