"""The client of Paystack's API on its own: what it repeats, what it never repeats, what it makes of the answers."""

import pytest

from services.payments.domain import NoAnswer, NotFound
from services.payments.exceptions import OverBudget, RateLimited, Refused, Unknown
from tests.databases import MakeDatabase
from tests.integration.payments_support import Till, till
from tests.integration.sandbox_support import KEY


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    return make_database("payments")


async def calls_of(one: Till, endpoint: str) -> dict[str, int]:
    """How Paystack answered the calls of one endpoint."""
    return dict((await one.paystack.call("GET", "/sandbox/calls")).get(endpoint, {"answers": {}})["answers"])


@pytest.mark.parametrize("http_status", [400, 404])
async def test_an_unknown_reference_is_known_by_its_code_and_not_by_the_http_status(
    database_url: str, http_status: int
) -> None:
    async with till(database_url, paystack={"unknown_reference_status": http_status}) as one:
        assert await one.service.paystack.verify("bx-nobody") == NotFound()


async def test_reading_is_repeated_once_and_what_changes_something_never(database_url: str) -> None:
    async with till(database_url) as one:
        await one.paystack.pay("bx-1")
        await one.plant(fail_next=1, endpoints=["verify"])
        assert not isinstance(await one.service.paystack.verify("bx-1"), NoAnswer)
        assert await calls_of(one, "verify") == {"502": 1, "200": 1}
        charge = (await one.paystack.ledger())["charges"][0]
        await one.plant(fail_next=1, endpoints=["create_refund"])
        with pytest.raises(Unknown):
            await one.service.paystack.refund(charge_id=str(charge["id"]), amount_kobo=1, currency="NGN", note="x")
        assert await calls_of(one, "create_refund") == {"502": 1}
        order = await one.order()
        await one.plant(fail_next=1, endpoints=["initialize"])
        assert (await one.click(order.order_id, status=503))["code"] == "provider_away"
        assert (await calls_of(one, "initialize"))["502"] == 1


async def test_an_answer_that_comes_in_many_pieces_is_read_whole(database_url: str) -> None:
    async with till(database_url, paystack={"refund_seconds": 3600}) as one:
        charge = await one.paystack.pay("bx-1", webhooks=0)
        for _ in range(100):
            refund = {"reference": "bx-1", "amount": 100, "webhooks": 0}
            await one.paystack.call("POST", "/sandbox/refunds", refund)
        assert len(await one.service.paystack.list_refunds(str(charge["id"]))) == 100


async def test_a_429_stops_this_budget_in_every_replica_for_as_long_as_it_says(database_url: str) -> None:
    async with till(database_url) as one:
        await one.plant(rate_limit_per_minute=1)
        await one.service.paystack.verify("bx-1")
        with pytest.raises(RateLimited) as limited:
            await one.service.paystack.verify("bx-1")
        assert 1 <= limited.value.reset_seconds <= 60
        before = await calls_of(one, "verify")
        # Whoever asks next, from here or from another replica with the same database, does not even call.
        with pytest.raises(OverBudget) as stopped:
            await one.service.paystack.verify("bx-1")
        assert stopped.value.reset_seconds <= limited.value.reset_seconds
        assert await calls_of(one, "verify") == before
        assert await one.bench.value("SELECT paused_until > now() FROM budgets WHERE name = 'verify'")


async def test_the_next_key_calls_when_paystack_no_longer_knows_the_first(database_url: str) -> None:
    keys = "sk_test_rolled_away,sk_live_another_mode," + KEY
    async with till(database_url, paystack_secret_keys=keys) as one:
        assert await one.service.paystack.verify("bx-nobody") == NotFound()
        assert await one.service.paystack.verify("bx-nobody") == NotFound()
        # Found once; and a key of the other mode is never tried.
        assert await calls_of(one, "verify") == {"401": 1, "400": 2}
        # Each of them counted.
        assert await one.bench.value("SELECT count(*) FROM budget_calls") == 3


async def test_no_key_that_paystack_knows_is_a_refusal(database_url: str) -> None:
    async with till(database_url, paystack_secret_keys="sk_test_one_unknown,sk_test_two_unknown") as one:
        with pytest.raises(Refused) as refused:
            await one.service.paystack.list_refunds("1")
        assert refused.value.http_status == 401
        assert (await one.click((await one.order()).order_id, status=503))["code"] == "provider_away"
