"""The JSON shapes of the API: every key of Paystack's samples, so that strict clients can parse them. Pure."""

import hashlib
from typing import Any, Final

from deploy.sandbox.model import Dispute, Refund, Transaction, iso

INTEGRATION: Final = 100_032
_TEXT_AMOUNT: Final = frozenset({"refund.pending", "refund.processing", "refund.processed"})


def customer(transaction: Transaction) -> dict[str, Any]:
    """Render the customer of a transaction."""
    return {
        "id": transaction.customer_id,
        "first_name": None,
        "last_name": None,
        "email": transaction.email,
        "customer_code": f"CUS_{transaction.customer_id:x}",
        "phone": None,
        "metadata": None,
        "risk_action": "default",
        "international_format_phone": None,
    }


def authorization(transaction: Transaction) -> dict[str, Any]:
    """Render the card that paid; an empty object while nothing was paid."""
    if transaction.paid_at is None:
        return {}
    token = hashlib.sha256(f"{transaction.customer_id}{transaction.card}".encode()).hexdigest()
    return {
        "authorization_code": f"AUTH_{token[:10]}",
        "bin": transaction.card[:6],
        "last4": transaction.card[-4:],
        "exp_month": "12",
        "exp_year": "2030",
        "channel": "card",
        "card_type": "visa ",
        "bank": "TEST BANK",
        "country_code": "NG",
        "brand": "visa",
        "reusable": True,
        "signature": f"SIG_{token[10:30]}",
        "account_name": None,
    }


def log(transaction: Transaction) -> dict[str, Any] | None:
    """Render what happened on the hosted page; null before anything did."""
    if transaction.attempts == 0:
        return None
    paid = transaction.paid_at is not None
    until = transaction.paid_at or transaction.created_at
    spent = max(0, int(until - transaction.created_at))
    message = "Successfully paid with card" if paid else f"Attempted to pay: {transaction.gateway_response}"
    return {
        "start_time": int(transaction.created_at),
        "time_spent": spent,
        "attempts": transaction.attempts,
        "errors": transaction.attempts - paid,
        "success": paid,
        "mobile": False,
        "input": [],
        "history": [
            {"type": "action", "message": "Attempted to pay with card", "time": spent},
            {"type": "success" if paid else "error", "message": message, "time": spent},
        ],
    }


def _core(transaction: Transaction) -> dict[str, Any]:
    return {
        "id": transaction.id,
        "domain": transaction.domain,
        "status": transaction.status,
        "reference": transaction.reference,
        "amount": transaction.amount,
        "message": None,
        "gateway_response": transaction.gateway_response,
        "gateway_response_code": "approved" if transaction.paid_at is not None else None,
        "response_code": "00" if transaction.paid_at is not None else None,
        "paid_at": iso(transaction.paid_at),
        "created_at": iso(transaction.created_at),
        "channel": "card",
        "currency": transaction.currency,
        "ip_address": "127.0.0.1",
        "metadata": transaction.metadata,
        "fees": transaction.fees,
        "fees_split": None,
        "authorization": authorization(transaction),
        "customer": customer(transaction),
        "split": {},
        "order_id": None,
        "paidAt": iso(transaction.paid_at),
        "requested_amount": transaction.requested_amount,
        "pos_transaction_data": None,
        "source": {
            "type": "api",
            "source": "merchant_api",
            "entry_point": "transaction_initialize",
            "identifier": None,
        },
        "fees_breakdown": None,
    }


def transaction(value: Transaction) -> dict[str, Any]:
    """Render a transaction as verify, fetch and list do."""
    return {
        **_core(value),
        "receipt_number": None,
        "log": log(value),
        "plan": None,
        "createdAt": iso(value.created_at),
        "connect": None,
        "transaction_date": iso(value.created_at),
        "plan_object": {},
        "subaccount": {},
    }


def charge_success(value: Transaction) -> dict[str, Any]:
    """Render the data of ``charge.success``: the charge as it was when it was paid."""
    return {**_core(value), "status": "success", "log": None, "plan": {}, "subaccount": {}}


def refund(value: Refund, charge: Transaction, *, created: bool = False) -> dict[str, Any]:
    """Render a refund; the answer to its creation holds the transaction, every other one only its id."""
    short = {
        "id": charge.id,
        "domain": charge.domain,
        "reference": charge.reference,
        "amount": charge.amount,
        "paid_at": iso(charge.paid_at),
        "channel": "card",
        "currency": charge.currency,
        "authorization": {"exp_month": None, "exp_year": None, "account_name": None},
        "customer": {"international_format_phone": None},
        "plan": {},
        "subaccount": {"currency": None},
        "split": {},
        "order_id": None,
        "paidAt": iso(charge.paid_at),
        "pos_transaction_data": None,
        "source": None,
        "fees_breakdown": None,
    }
    return {
        "id": value.id,
        "integration": INTEGRATION,
        "domain": value.domain,
        "transaction": short if created else value.transaction,
        "transaction_reference": value.reference,
        "dispute": None,
        "settlement": None,
        "currency": value.currency,
        "amount": value.amount,
        "status": value.status,
        "deducted_amount": 0 if value.status in {"pending", "failed"} else value.amount,
        "fully_deducted": value.status not in {"pending", "failed"},
        "channel": None,
        "refunded_by": value.refunded_by,
        "refunded_at": iso(value.updated_at) if value.status == "processed" else None,
        "expected_at": iso(value.created_at + 10 * 86_400),
        "customer_note": value.customer_note,
        "merchant_note": value.merchant_note,
        "bank_reference": None,
        "created_at": iso(value.created_at),
        "createdAt": iso(value.created_at),
        "updated_at": iso(value.updated_at),
        "updatedAt": iso(value.updated_at),
    }


def refund_event(value: Refund, charge: Transaction, event: str) -> dict[str, Any]:
    """Render the data of a ``refund.*`` event, which names no refund id except when it needs attention."""
    data: dict[str, Any] = {
        "status": value.status,
        "transaction_reference": value.reference,
        "refund_reference": None if value.status in {"pending", "processing"} else f"TRF_{value.id:x}",
        "amount": str(value.amount) if event in _TEXT_AMOUNT else value.amount,
        "currency": value.currency,
        "processor": "instant-transfer" if value.status == "processed" else "migs",
        "customer": {"first_name": None, "last_name": None, "email": charge.email},
        "integration": INTEGRATION,
        "domain": value.domain,
    }
    if event == "refund.needs-attention":
        data |= {"id": str(value.id), "customer_note": value.customer_note, "merchant_note": value.merchant_note}
    return data


def dispute(value: Dispute, charge: Transaction) -> dict[str, Any]:
    """Render a dispute for the API and for ``charge.dispute.*``."""
    return {
        "id": value.id,
        "refund_amount": value.refund_amount,
        "currency": value.currency,
        "status": value.status,
        "resolution": value.resolution,
        "domain": value.domain,
        "transaction": transaction(charge),
        "transaction_reference": None,
        "category": value.category,
        "customer": customer(charge),
        "bin": charge.card[:6],
        "last4": charge.card[-4:],
        "dueAt": iso(value.due_at),
        "resolvedAt": iso(value.resolved_at),
        "evidence": value.evidence,
        "attachments": value.attachments,
        "note": None,
        "history": list(value.history),
        "messages": list(value.messages),
        "created_at": iso(value.created_at),
        "updated_at": iso(value.updated_at),
        "createdAt": iso(value.created_at),
        "updatedAt": iso(value.updated_at),
    }
