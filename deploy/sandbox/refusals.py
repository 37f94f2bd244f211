"""Every refusal of the API, with the message, type and code Paystack gives.

Where no published source has the exact text it is our own wording; clients must not depend on those.
"""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused call: HTTP status and the fields of the error envelope."""

    http_status: int
    message: str
    code: str
    next_step: str
    type: str = "validation_error"
    extra: tuple[tuple[str, Any], ...] = ()

    def envelope(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {
            "status": False,
            "message": self.message,
            "meta": {"nextStep": self.next_step},
            "type": self.type,
            "code": self.code,
            **dict(self.extra),
        }


_PROVIDE_ALL: Final = "Provide all required params"
_CHECK_PARAMS: Final = "Ensure that the values you are passing are correct"

INVALID_KEY: Final = Refusal(
    401,
    "Invalid key",
    "invalid_Key",
    "Ensure that you provide the correct authorization key for the request",
)
RATE_LIMITED: Final = Refusal(
    429, "Rate limit exceeded!", "rate_limited", "Wait a few minutes and try the API call again", "api_error"
)
DUPLICATE_REFERENCE: Final = Refusal(
    400,
    "Duplicate Transaction Reference",
    "duplicate_reference",
    "Try and create the Transaction or Charge with a new reference",
    extra=(("errorCodeMappingNotFound", False),),
)
EMAIL_REQUIRED: Final = Refusal(400, "Email Address is required", "missing_params", _PROVIDE_ALL)
AMOUNT_REQUIRED: Final = Refusal(400, "Amount is required", "missing_params", _PROVIDE_ALL)
INVALID_EMAIL: Final = Refusal(
    400, "Invalid Email Address Passed", "invalid_email_address", "Provide a valid email address"
)
INVALID_AMOUNT: Final = Refusal(400, "Invalid Amount Sent", "invalid_amount", "Provide an amount within the limits")
AMOUNT_NOT_INTEGER: Final = Refusal(400, '"amount" must be an integer', "invalid_params", _CHECK_PARAMS)
UNSUPPORTED_CURRENCY: Final = Refusal(
    403, "Currency not supported by merchant", "unsupported_currency", "Use a currency your account supports"
)
ILLEGAL_REFERENCE: Final = Refusal(
    400,
    "Invalid transaction reference. Only -, ., = and alphanumeric characters allowed",
    "invalid_reference",
    "Provide a reference made of the allowed characters",
)
TRANSACTION_REQUIRED: Final = Refusal(400, "Transaction is required", "missing_params", _PROVIDE_ALL)
TRANSACTION_NOT_FOUND: Final = Refusal(
    404, "Transaction not found", "transaction_not_found", "Ensure that the transaction exists on your integration"
)
TRANSACTION_REVERSED: Final = Refusal(
    400,
    "Transaction has been fully reversed",
    "transaction_reversed",
    "Ensure that the transaction has not been refunded before",
    "api_error",
)
NOT_PAID: Final = Refusal(
    400, "Transaction has not been successful", "invalid_transaction", "Refund a successful transaction"
)
REFUND_TOO_LARGE: Final = Refusal(
    400,
    "Total refund amount cannot exceed original transaction amount",
    "invalid_params",
    "Reduce the amount to what has not been refunded yet",
)
REFUND_CURRENCY: Final = Refusal(
    400, "Transaction currency must match refund currency", "invalid_params", _CHECK_PARAMS
)
INSUFFICIENT_BALANCE: Final = Refusal(
    400,
    "Insufficient balance to fulfill this refund. Please top up.",
    "insufficient_balance",
    "Top up your balance and try again",
    "api_error",
)
REFUND_NOT_FOUND: Final = Refusal(404, "Refund not found", "refund_not_found", "Ensure that the refund exists")
REFUND_STATE: Final = Refusal(
    422,
    'Invalid Refund state, refund status should be "needs-attention"',
    "invalid_params",
    "Retry only refunds that need attention",
)
DISPUTE_NOT_FOUND: Final = Refusal(404, "Dispute not found", "dispute_not_found", "Ensure that the dispute exists")
DISPUTE_CLOSED: Final = Refusal(
    400, "Dispute has already been resolved", "invalid_params", "Resolve only disputes that are open"
)
DISPUTE_AMOUNT: Final = Refusal(
    400, "Refund amount cannot be greater than initial amount", "invalid_params", _CHECK_PARAMS
)
WEBHOOK_NOT_FOUND: Final = Refusal(404, "Webhook event not found", "webhook_not_found", "Ensure that the event exists")
ROUTE_NOT_FOUND: Final = Refusal(404, "Requested resource does not exist", "not_found", "Check the address")


def reference_not_found(http_status: int) -> Refusal:
    """Refuse to verify an unknown reference; the published sources disagree about the status (400 or 404)."""
    return Refusal(
        http_status,
        "Transaction reference not found.",
        "transaction_not_found",
        "Ensure that you're passing the reference of a transaction that exists on this integration",
    )


def bad_value(message: str, http_status: int = 400) -> Refusal:
    """Refuse a value for which no exact text is published."""
    return Refusal(http_status, message, "invalid_params", _CHECK_PARAMS)


def missing(name: str) -> Refusal:
    """Refuse a call that lacks a parameter for which no exact text is published."""
    return Refusal(400, f"{name} is required", "missing_params", _PROVIDE_ALL)
