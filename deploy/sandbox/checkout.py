"""The hosted page: where a person pays with a test card, is declined, or gives up."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import jinja2
from aiohttp import web

from deploy.sandbox import model
from deploy.sandbox.bank import Bank
from deploy.sandbox.model import CAPTURED, Transaction
from deploy.sandbox.money import naira
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import BANK
from deploy.sandbox.settings import is_http_url
from deploy.sandbox.transactions import Decision, session_is_over

# No form-action: browsers apply it to the redirect back to the merchant too, and would stop the buyer there.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_CARDS: Final = (
    (model.CARD_SUCCEEDS, "Succeeds", "The money is taken at once."),
    (model.CARD_DECLINED, "Declined", "The bank says no; you may try another card."),
    (model.CARD_REFUND_FAILS, "Succeeds, but a refund fails", "Paying works; money cannot be sent back."),
    (
        model.CARD_REFUND_NEEDS_ATTENTION,
        "Succeeds, but a refund needs attention",
        "Paying works; a refund waits for bank details.",
    ),
)
_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=jinja2.StrictUndefined
)


def return_url(callback_url: str, reference: str) -> str:
    """Add ``trxref`` and ``reference`` to the merchant's callback address, keeping its own query."""
    parts = urlsplit(callback_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("trxref", reference), ("reference", reference)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def cancel_url(transaction: Transaction) -> str | None:
    """Return where the merchant wants a buyer who gives up, from ``metadata.cancel_action``."""
    metadata = transaction.metadata
    wanted = metadata.get("cancel_action") if isinstance(metadata, dict) else None
    return wanted if isinstance(wanted, str) and is_http_url(wanted) else None


def _page(bank: Bank, transaction: Transaction | None, state: str, status: int = 200) -> web.Response:
    back = None
    if transaction is not None and transaction.callback_url:
        back = return_url(transaction.callback_url, transaction.reference)
    html = _TEMPLATES.get_template("checkout.html").render(
        merchant=bank.settings.merchant,
        state=state,
        transaction=transaction,
        amount=naira(bank.due_amount(transaction), transaction.currency) if transaction else "",
        cards=_CARDS,
        groups=lambda number: " ".join(number[i : i + 4] for i in range(0, 16, 4)),
        back=back,
    )
    return web.Response(text=html, content_type="text/html", status=status, headers=_HEADERS)


def _state(bank: Bank, transaction: Transaction | None, now: float) -> tuple[str, int]:
    if transaction is None:
        return "unknown", 404
    if transaction.status in CAPTURED:
        return ("paid" if transaction.status == "success" else "refunded"), 200
    if session_is_over(transaction, bank.session_seconds, now):
        return "closed", 410
    return ("declined", 200) if transaction.status == "failed" else ("open", 200)


def _find(request: web.Request) -> tuple[Bank, Transaction | None, str, int]:
    bank = request.app[BANK]
    transaction = bank.ledger.by_access_code(request.match_info["access_code"])
    return bank, transaction, *_state(bank, transaction, bank.now())


async def show(request: web.Request) -> web.Response:
    """Show the page in whatever state its transaction is."""
    bank, transaction, state, status = _find(request)
    return _page(bank, transaction, state, status)


async def act(request: web.Request) -> web.Response:
    """Take a press of a button. A second press of "Pay" finds the transaction paid and goes the same way back."""
    bank, transaction, state, status = _find(request)
    if transaction is None or state == "closed":
        return _page(bank, transaction, state, status)
    if state in {"paid", "refunded"}:
        return _back_to_merchant(bank, transaction)
    form = await request.post()
    action, card = form.get("action"), form.get("card", model.CARD_SUCCEEDS)
    if action not in {"pay", "decline", "cancel"} or card not in model.CARDS:
        raise web.HTTPBadRequest(text="Choose one of the cards and one of the buttons.")
    if action == "cancel":
        # Giving up leaves the transaction as it is at Paystack: the page can be opened again.
        wanted = cancel_url(transaction)
        return _see_other(wanted) if wanted else _page(bank, transaction, "cancelled")
    declined = action == "decline" or card == model.CARD_DECLINED
    page = f"{bank.public_url}/checkout/{transaction.access_code}"
    decision = Decision("failed" if declined else "success", card=str(card), referrer=page)
    changed = await bank.settle(transaction, decision)
    if declined and not isinstance(changed, Refusal):
        return _see_other(page)
    return _back_to_merchant(bank, bank.ledger.transactions[transaction.id])


def _back_to_merchant(bank: Bank, transaction: Transaction) -> web.Response:
    if transaction.callback_url is None:
        return _page(bank, transaction, "paid")
    return _see_other(return_url(transaction.callback_url, transaction.reference))


def _see_other(url: str) -> web.Response:
    return web.Response(status=303, headers={**_HEADERS, "Location": url})


async def home(request: web.Request) -> web.Response:
    """Show what this is, and the newest transactions with their pages."""
    bank = request.app[BANK]
    newest: list[dict[str, Any]] = []
    for transaction in reversed(bank.ledger.transactions.values()):
        if len(newest) == 50:
            break
        newest.append({"row": transaction, "amount": naira(transaction.amount, transaction.currency)})
    html = _TEMPLATES.get_template("home.html").render(merchant=bank.settings.merchant, newest=newest, iso=model.iso)
    return web.Response(text=html, content_type="text/html", headers=_HEADERS)


def add_pages(app: web.Application) -> None:
    """Register the pages."""
    app.router.add_get("/", home)
    app.router.add_get(r"/checkout/{access_code:[a-z0-9]{1,40}}", show)
    app.router.add_post(r"/checkout/{access_code:[a-z0-9]{1,40}}", act)
