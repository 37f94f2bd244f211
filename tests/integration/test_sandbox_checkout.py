"""The hosted page takes a payment once and sends the buyer back."""

from typing import Any

import pytest

from tests.integration.sandbox_support import Sandbox, receiving, sandbox

CALLBACK = "http://shop.example/payments/callback"


async def press(paystack: Sandbox, made: Any, action: str, **form: str) -> tuple[int, str, str]:
    """Press a button and return status, redirect target and page."""
    path = f"/checkout/{made['access_code']}"
    async with paystack.http.post(path, data={"action": action, **form}, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


async def look(paystack: Sandbox, made: Any) -> tuple[int, str]:
    """Open the page."""
    async with paystack.http.get(f"/checkout/{made['access_code']}") as answer:
        assert "script" not in (await answer.text())
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        return answer.status, await answer.text()


async def test_page_shows_who_is_paid_by_whom_and_how_much() -> None:
    async with sandbox(merchant="Lagos <Live>") as paystack:
        made = await paystack.initialize("BX-1", 1_250_000, email="ada+x@example.com")
        status, page = await look(paystack, made)
        assert status == 200
        for text in ("Lagos &lt;Live&gt;", "ada+x@example.com", "₦12,500.00", "BX-1"):
            assert text in page


async def test_pay_charges_once_and_redirects_with_the_reference() -> None:
    async with receiving() as shop, sandbox(webhook_url=shop.url) as paystack:
        made = await paystack.initialize("BX-1", callback_url=CALLBACK)
        for _ in range(2):
            status, location, _ = await press(paystack, made, "pay")
            assert (status, location) == (303, f"{CALLBACK}?trxref=BX-1&reference=BX-1")
        await paystack.idle()
        assert len(await shop.wait(1)) == 1
        assert "This payment is complete" in (await look(paystack, made))[1]
        assert (await paystack.ledger())["totals"]["captured"] == 20_000


@pytest.mark.parametrize(("action", "form"), [("decline", {}), ("pay", {"card": "4084080000005408"})])
async def test_declined_buyer_may_try_again(action: str, form: dict[str, str]) -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1", callback_url=CALLBACK)
        status, location, _ = await press(paystack, made, action, **form)
        assert (status, location) == (303, made["authorization_url"])
        assert "declined" in (await look(paystack, made))[1]
        data = await paystack.verify("BX-1")
        assert (data["status"], data["gateway_response"]) == ("failed", "Declined")
        assert (await press(paystack, made, "pay"))[0] == 303
        assert (await paystack.verify("BX-1"))["status"] == "success"


async def test_cancel_charges_nothing_and_leaves_the_way_open() -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1", metadata={"cancel_action": "http://shop.example/left"})
        assert (await press(paystack, made, "cancel"))[:2] == (303, "http://shop.example/left")
        plain = await paystack.initialize("BX-2")
        status, _, page = await press(paystack, plain, "cancel")
        assert (status, "You cancelled" in page) == (200, True)
        assert (await paystack.verify("BX-2"))["status"] == "abandoned"
        assert (await press(paystack, plain, "pay"))[0] == 200


async def test_closed_session_takes_no_money() -> None:
    async with sandbox(session_seconds=0.001) as paystack:
        made = await paystack.initialize("BX-1", callback_url=CALLBACK)
        while (await look(paystack, made))[0] != 410:
            pass
        assert (await press(paystack, made, "pay"))[0] == 410
        assert (await paystack.verify("BX-1"))["status"] == "abandoned"


async def test_refunded_page_says_so() -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1", callback_url=CALLBACK)
        await paystack.settle("BX-1")
        await paystack.call("POST", "/sandbox/refunds", {"reference": "BX-1"})
        assert "was refunded" in (await look(paystack, made))[1]
        assert (await press(paystack, made, "pay"))[0] == 303
        assert (await paystack.ledger())["totals"]["captured"] == 20_000


async def test_card_chosen_on_the_page_decides_about_the_refund() -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1")
        await press(paystack, made, "pay", card="4084080000671803")
        await paystack.call("POST", "/refund", {"transaction": "BX-1"})
        await paystack.idle()
        assert (await paystack.ledger())["refunds"][0]["status"] == "failed"


@pytest.mark.parametrize("form", [{"action": "steal"}, {"action": "pay", "card": "4111111111111111"}, {}])
async def test_wrong_button_or_card_is_refused(form: dict[str, str]) -> None:
    async with sandbox() as paystack:
        made = await paystack.initialize("BX-1")
        async with paystack.http.post(f"/checkout/{made['access_code']}", data=form) as answer:
            assert answer.status == 400
        assert (await paystack.verify("BX-1"))["status"] == "abandoned"


async def test_unknown_page_says_so() -> None:
    async with sandbox() as paystack, paystack.http.get("/checkout/0123456789abcdef") as answer:
        assert answer.status == 404
        assert "does not exist" in await answer.text()


async def test_home_lists_the_newest_transactions() -> None:
    async with sandbox() as paystack:
        await paystack.initialize("BX-1")
        async with paystack.http.get("/") as answer:
            assert "BX-1" in await answer.text()
