"""The truth that the product's books are held against: every charge and refund, and their sums."""

from typing import Any

from deploy.sandbox.disputes import is_money_back
from deploy.sandbox.ledger import Ledger, processed_amount, refunded_amount
from deploy.sandbox.model import Dispute, Refund, Transaction, iso


def view(ledger: Ledger) -> dict[str, Any]:
    """Return all charges, refunds and disputes with their sums, in subunits."""
    charges = [_charge(ledger, charge) for charge in ledger.charges()]
    totals = {
        "captured": sum(charge["amount"] for charge in charges),
        "refunded": sum(charge["refunded"] for charge in charges),
        "refund_processed": processed_amount(ledger.refunds.values()),
        "charged_back": sum(charge["charged_back"] for charge in charges),
        "fees": sum(charge["fees"] for charge in charges),
    }
    return {
        "charges": charges,
        "refunds": [_refund(refund) for refund in ledger.refunds.values()],
        "disputes": [_dispute(dispute) for dispute in ledger.disputes.values()],
        "totals": totals,
    }


def _charge(ledger: Ledger, charge: Transaction) -> dict[str, Any]:
    return {
        "id": charge.id,
        "reference": charge.reference,
        "amount": charge.amount,
        "requested_amount": charge.requested_amount,
        "currency": charge.currency,
        "domain": charge.domain,
        "status": charge.status,
        "paid_at": iso(charge.paid_at),
        "email": charge.email,
        "fees": charge.fees or 0,
        # What has left the merchant's balance: it leaves when a refund is asked for, and returns if it fails.
        "refunded": refunded_amount(ledger.refunds_of(charge.id)),
        "charged_back": sum(d.refund_amount for d in ledger.disputes_of(charge.id) if is_money_back(d)),
    }


def _refund(refund: Refund) -> dict[str, Any]:
    names = ("id", "transaction", "reference", "amount", "currency", "status", "refunded_by")
    return {**{name: getattr(refund, name) for name in names}, "created_at": iso(refund.created_at)}


def _dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "transaction": dispute.transaction,
        "reference": dispute.reference,
        "amount": dispute.refund_amount,
        "currency": dispute.currency,
        "category": dispute.category,
        "status": dispute.status,
        "resolution": dispute.resolution,
        # What the dispute took away from the merchant; 0 while it is open, and when it was declined.
        "charged_back": dispute.refund_amount if is_money_back(dispute) else 0,
        "created_at": iso(dispute.created_at),
        "resolved_at": iso(dispute.resolved_at),
    }
