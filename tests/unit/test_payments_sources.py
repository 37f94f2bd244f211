"""Whose word counts about where a webhook came from."""

from ipaddress import ip_address, ip_network

import pytest

from services.payments.sources import source_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PAYSTACK = "52.31.139.75"


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        (PAYSTACK, [], PAYSTACK),
        # A stranger's header is his own word.
        ("203.0.113.9", [PAYSTACK], "203.0.113.9"),
        # Our proxy says whom it heard.
        ("10.0.0.1", [PAYSTACK], PAYSTACK),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        # What the stranger wrote himself stands before what our proxy added.
        ("10.0.0.1", [f"{PAYSTACK}, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [PAYSTACK, "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [f"{PAYSTACK}, {PAYSTACK}, 10.1.1.1, 203.0.113.9"], "203.0.113.9"),
        # Two proxies of ours, one behind the other.
        ("10.0.0.1", [f"{PAYSTACK}, 10.0.0.2"], PAYSTACK),
        ("10.0.0.1", [f"1.2.3.4, {PAYSTACK}", "10.0.0.2"], PAYSTACK),
        # A proxy that says nothing is the source.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        # Ports, brackets, IPv4 in IPv6.
        ("10.0.0.1", [f"{PAYSTACK}:4711"], PAYSTACK),
        ("::ffff:10.0.0.1", [f"::ffff:{PAYSTACK}"], PAYSTACK),
        ("fd00::1", ["[2001:db8::7]:443"], "2001:db8::7"),
    ],
)
def test_the_source_is_the_nearest_address_that_is_no_proxy_of_ours(
    peer: str, forwarded: list[str], source: str
) -> None:
    assert source_of(peer, forwarded, PROXIES) == ip_address(source)


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "52.31.139.75.1", "a, ,", "999.1.1.1"])
def test_what_our_proxy_passed_on_and_is_no_address_is_nobody(text: str) -> None:
    assert source_of("10.0.0.1", [text], PROXIES) is None
    assert source_of(None, [PAYSTACK], PROXIES) is None


def test_without_proxies_no_header_is_believed() -> None:
    assert source_of("127.0.0.1", [PAYSTACK], []) == ip_address("127.0.0.1")
