"""The events of Paystack's webhooks by name: those that have an effect here, and those that are only kept.

Both lists are for people and for the receipts' outcome. An event in neither is kept all the same.
"""

from typing import Final

#: A charge went through. The body is believed once it matches our row.
CHARGE_SUCCESS: Final = "charge.success"
#: Not documented, and not relied upon: Paystack is asked what became of the attempt.
CHARGE_FAILED: Final = "charge.failed"
#: News of a refund. The events name no refund, so Paystack is asked about all of the charge's.
REFUND_EVENTS: Final = frozenset(
    {"refund.pending", "refund.processing", "refund.processed", "refund.failed", "refund.needs-attention"}
)
#: News of a dispute, with the whole of it.
DISPUTE_EVENTS: Final = frozenset({"charge.dispute.create", "charge.dispute.remind", "charge.dispute.resolve"})

#: Documented or sampled by Paystack, and nothing to a shop that sells tickets by card.
KEPT_EVENTS: Final = frozenset(
    {
        "bank.transfer.rejected",
        "customeridentification.failed",
        "customeridentification.success",
        "dedicatedaccount.assign.failed",
        "dedicatedaccount.assign.success",
        "direct_debit.authorization.active",
        "direct_debit.authorization.created",
        "invoice.create",
        "invoice.payment_failed",
        "invoice.update",
        "paymentrequest.pending",
        "paymentrequest.success",
        "preauthorization.success",
        "subscription.create",
        "subscription.disable",
        "subscription.expiring_cards",
        "subscription.not_renew",
        "transfer.failed",
        "transfer.reversed",
        "transfer.success",
    }
)
