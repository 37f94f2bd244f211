"""The routes of the API and the names of its endpoints, which counters and faults use."""

from typing import Final

from aiohttp import web

from deploy.sandbox import api_disputes, api_events, api_refunds, api_transactions
from deploy.sandbox.replies import Handler, api

_ROUTES: Final[tuple[tuple[str, str, str, Handler], ...]] = (
    ("initialize", "POST", "/transaction/initialize", api_transactions.initialize),
    ("verify", "GET", "/transaction/verify/{reference}", api_transactions.verify),
    ("list_transactions", "GET", "/transaction", api_transactions.list_transactions),
    ("totals", "GET", "/transaction/totals", api_transactions.totals),
    ("timeline", "GET", "/transaction/timeline/{reference}", api_transactions.timeline),
    ("fetch_transaction", "GET", r"/transaction/{id:\d{1,20}}", api_transactions.fetch),
    ("create_refund", "POST", "/refund", api_refunds.create),
    ("list_refunds", "GET", "/refund", api_refunds.list_refunds),
    ("fetch_refund", "GET", r"/refund/{id:\d{1,20}}", api_refunds.fetch),
    ("retry_refund", "POST", r"/refund/retry_with_customer_details/{id:\d{1,20}}", api_refunds.retry),
    ("list_disputes", "GET", "/dispute", api_disputes.list_disputes),
    ("fetch_dispute", "GET", r"/dispute/{id:\d{1,20}}", api_disputes.fetch),
    ("transaction_disputes", "GET", r"/dispute/transaction/{id:\d{1,20}}", api_disputes.of_transaction),
    ("update_dispute", "PUT", r"/dispute/{id:\d{1,20}}", api_disputes.update),
    ("add_evidence", "POST", r"/dispute/{id:\d{1,20}}/evidence", api_disputes.add_evidence),
    ("upload_url", "GET", r"/dispute/{id:\d{1,20}}/upload_url", api_disputes.upload_url),
    ("resolve_dispute", "PUT", r"/dispute/{id:\d{1,20}}/resolve", api_disputes.resolve),
    ("session_timeout", "GET", "/integration/payment_session_timeout", api_events.session_timeout),
    ("set_session_timeout", "PUT", "/integration/payment_session_timeout", api_events.set_session_timeout),
    ("list_webhooks", "GET", "/integration/webhooks/events", api_events.list_events),
    ("lookup_webhooks", "GET", "/integration/webhooks/events/lookup", api_events.lookup),
    ("fetch_webhook", "GET", r"/integration/webhooks/events/{id:[0-9a-f]{24}}", api_events.fetch),
    ("resend_webhooks", "POST", "/integration/webhooks/events/resend", api_events.resend),
    ("resend_matching", "POST", "/integration/webhooks/events/resend-matching", api_events.resend_matching),
)

ENDPOINTS: Final = frozenset(name for name, *_ in _ROUTES)


def add_api(app: web.Application) -> None:
    """Register every call, with and without a trailing slash: clients in use send both."""
    for name, method, path, handler in _ROUTES:
        wrapped = api(name, handler)
        app.router.add_route(method, path, wrapped)
        app.router.add_route(method, f"{path}/", wrapped)
