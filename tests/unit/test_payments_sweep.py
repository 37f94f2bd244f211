"""How a sweep walks through lists of either meta, and what it makes of a row."""

from uuid import uuid4

import pytest

from services.payments.domain import Facts
from services.payments.domain_sweep import KnownCharge, Place, decide_next_place, differences, id_in_note


@pytest.mark.parametrize(
    ("place", "rows", "meta", "following"),
    [
        (Place(1), 50, {"page": 1, "pageCount": 3, "perPage": 50}, Place(2)),
        (Place(3), 7, {"page": 3, "pageCount": 3}, None),
        (Place(1), 50, {"page": "1", "pageCount": "3"}, Place(2)),
        (Place(2), 0, {"page": 2, "pageCount": 9}, None),
        (Place(1), 50, {"next": "abc", "previous": None, "perPage": 50}, Place(2, "abc")),
        (Place(2, "abc"), 50, {"next": "def"}, Place(3, "def")),
        (Place(2, "abc"), 50, {"next": "null"}, None),
        (Place(2, "abc"), 50, {"next": None}, None),
        (Place(2, "abc"), 50, {"next": ""}, None),
        # The same cursor again would be read for ever.
        (Place(2, "abc"), 50, {"next": "abc"}, None),
        (Place(1), 50, None, Place(2)),
        (Place(4), 0, None, None),
    ],
)
def test_the_next_page_under_either_meta(place: Place, rows: int, meta: object, following: Place | None) -> None:
    assert decide_next_place(place, rows=rows, meta=meta) == following


def facts(**changes: object) -> Facts:
    fields = {"charge_id": "1", "reference": "bx-1", "status": "success", "amount_kobo": 5, "currency": "NGN"}
    return Facts(**{**fields, "domain": "test", **changes})  # type: ignore[arg-type]


def test_what_differs_is_named() -> None:
    known = KnownCharge("1", "bx-1", 5, "NGN", "confirmed", 0)
    assert differences(facts(), known) is None
    assert differences(facts(status="reversed"), known) is None, "where the money is now is another question"
    assert "amount 6" in str(differences(facts(amount_kobo=6), known))
    assert "currency USD" in str(differences(facts(currency="USD"), known))
    assert "reference bx-2" in str(differences(facts(reference="bx-2"), known))


def test_a_note_of_ours_names_our_refund() -> None:
    own = uuid4()
    assert id_in_note(f"boxoffice late {own}") == own
    assert id_in_note("boxoffice late soon") is None
    assert id_in_note(f"the buyer asked, see {own}") is None
    assert id_in_note("") is None
