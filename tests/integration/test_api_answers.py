"""The documents of all interfaces and the running services agree: every documented answer is seen, and no other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from boxoffice.api_documents import build
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from shared.contracts.registry import MESSAGES, SERVICES, ServiceName
from shared.http.server import HttpServer
from shared.messaging.asyncapi import make_document
from tests.answers import NO_BODY, Answers, Case
from tests.databases import MakeDatabase
from tests.harness import Wire
from tests.integration import api_answers_support as ask
from tests.messages import Overheard
from tests.system import SECRETS, make_wiring, system

_CHECK_IN = ("ticketing", "POST /v1/gate/checkins", 409)
_REISSUE = ("ticketing", "POST /v1/admin/orders/{order_id}/tickets/{number}/reissue", 409)
_REFUND = ("orders", "POST /v1/admin/orders/{order_id}/refund", 409)
_CLOSE = ("payments", "POST /v1/admin/cases/{case_id}/close", 409)
_WEBHOOK = ("payments", "POST /webhooks/paystack")
_NOT_REISSUED = "test_ticketing_reissue.py::test_what_is_let_in_revoked_blocked_or_unknown_is_not_issued_again"
#: Documented answers that this run does not bring about, each with the test that does, or why there is none.
ELSEWHERE: Mapping[Case, str] = {
    (*_CHECK_IN, "blocked"): "test_gate_checkins.py::test_a_blocked_ticket_is_refused_until_the_block_comes_off",
    (*_CHECK_IN, "key_compromised"): "test_gate_packs.py::test_a_stolen_keys_tickets_leave_the_pack_by_its_cut_off",
    (*_CHECK_IN, "not_valid_any_more"): "test_gate_checkins.py::test_each_refusal_has_a_name_of_its_own",
    (*_REISSUE, "already_admitted"): _NOT_REISSUED,
    (*_REISSUE, "blocked"): _NOT_REISSUED,
    (*_REISSUE, "too_many"): "no test here: an order has twenty thousand numbers",
    (*_REFUND, "already_admitted"): "test_orders_refunds.py::test_what_was_given_back_or_let_in_is_refused_by_name",
    (*_REFUND, "refund_in_progress"): "test_orders_refunds.py::test_what_cannot_be_given_back_is_named",
    (*_CLOSE, "closes_by_itself"): "test_ledger.py::test_a_case_that_closes_by_itself_is_not_closed_by_hand",
    (*_CLOSE, "refund_under_way"): "no test here: it takes two refunds of one charge, one failed and one on its way",
    (*_WEBHOOK, 403, "wrong_source"): (
        "test_payments_webhooks.py::"
        "test_webhooks_are_taken_from_listed_addresses_only_and_a_proxy_is_believed_only_if_ours"
    ),
    (*_WEBHOOK, 408, "too_slow"): "no test here: it takes twenty seconds",
    ("payments", "GET /pay/{order_id}", 503, "crowded"): "no test here: it takes more clicks at once than a test has",
}


async def test_services_answer_what_their_documents_say(
    engines: Engines, templates: Templates, make_database: MakeDatabase, namespace: str
) -> None:
    answers = Answers()

    def watch(service: ServiceName, built: Any) -> None:
        answers.watch(service, built.http)

    settings: dict[ServiceName, dict[str, Any]] = {
        "gateway": {"streams_most": 1},
        "orders": {"on_dispute": "block"},
        "payments": {"link_wait_seconds": 1, "last_attempt_seconds": 60},
        "reaper": {"wake_seconds": 1},
        "ticketing": {"gate_publish_seconds": 0.2},
    }
    wiring = make_wiring(engines.amqp_url, namespace, make_database)
    tokens = {f"{service.upper()}_ADMIN_TOKENS": ask.ADMIN_TOKENS for service in SERVICES}
    wiring = replace(wiring, inherited={**wiring.inherited, **tokens})
    async with (
        Wire(engines.amqp_url, namespace) as wire,
        Overheard.on(wire, make_document()) as overheard,
        system(wiring, settings=settings, before_start=watch) as whole,
    ):
        client = ask.Client(whole.session, {service: whole.url(service) for service in SERVICES})
        tier = str(await whole.tier(100))
        event = str(await whole.value("inventory", "SELECT event_id FROM tiers WHERE id = $1", tier))
        await ask.look_at_every_service(client)
        await ask.organise(client, tier, event)
        paid, cancelled = await ask.browse_and_buy(whole, client, tier, event)
        await ask.use_the_pages(client, tier, paid)
        await ask.pay(whole, client, tier, paid, cancelled)
        await ask.open_the_gates(whole, client)
        await ask.look_up(whole, client, tier, event, paid, cancelled)
        await ask.issue_again(whole, client)
        await ask.give_back(whole, client)
        await ask.dispute(whole)
        await ask.mend(whole, client, tier)
        await ask.as_nobody_should(client, answers)
        await ask.be_refused(whole, client, tier)
        await ask.let_time_pass(whole, templates)
        await overheard.all_of(set(MESSAGES))
    async with ask.without_engines(answers) as client:
        await ask.in_vain(client, answers)
    assert not answers.faults, "\n".join(sorted(set(answers.faults)))
    unseen = answers.documented() - answers.seen
    assert not unseen - set(ELSEWHERE), "\n".join(map(str, sorted(unseen - set(ELSEWHERE))))
    assert set(ELSEWHERE) <= answers.documented(), "an exception is documented no more"
    assert not overheard.faults, "\n".join(sorted(set(overheard.faults)))


@pytest.mark.parametrize("named", sorted(one for one in ELSEWHERE.values() if "::" in one))
def test_what_is_shown_elsewhere_is(named: str) -> None:
    file, _, test = named.partition("::")
    assert f"def {test}(" in (Path(__file__).parent / file).read_text()


async def test_an_answer_that_is_not_documented_is_noticed() -> None:
    """Otherwise the test above could not fail."""
    built = build("reaper", SECRETS, http_port=0)
    server: HttpServer = built.http
    answers = Answers()
    answers.watch("reaper", server)
    said = answers.documents["reaper"]["paths"]
    said["/healthz"]["get"]["responses"] = {"204": {"description": "x"}}
    said["/metrics"]["get"]["responses"]["200"]["content"] = {"text/html": {"schema": {}}}
    said["/readyz"]["get"]["responses"]["503"]["headers"] = {"Retry-After": {"required": True}}
    problem = said["/docs/{name}"]["get"]["responses"]["404"]["content"]["application/problem+json"]
    problem["schema"]["allOf"][1]["properties"]["code"]["enum"] = ["other"]
    del said["/docs"]
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            client = ask.Client(session, {"reaper": f"http://127.0.0.1:{server.port}"})
            for path in ("/healthz", "/metrics", "/readyz", "/docs/x", "/docs"):
                await client.ask("reaper", f"GET {path}")
    finally:
        await server.stop()
    assert len(answers.faults) == 5, answers.faults
    assert ("reaper", "GET /healthz", 204, NO_BODY) in answers.documented() - answers.seen
