"""Where a webhook came from. Pure.

A header anybody can write says nothing by itself: ``X-Forwarded-For`` is believed as far as proxies of ours wrote it.
Each of them adds the address it was called from at the end, so the list is read from there, for as long as the one
who wrote the next entry is a proxy of ours. What stands before that was written by the caller.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def source_of(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> Address | None:
    """The nearest address that is no proxy of ours; ``None`` when one of ours passed on what is no address.

    ``peer`` is who made the connection, ``forwarded`` the values of all ``X-Forwarded-For`` headers, in order.
    """
    source = _read(peer or "")
    entries = [entry for value in forwarded for entry in value.split(",")]
    while source is not None and entries and is_in(source, proxies):
        source = _read(entries.pop())
    return source


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks has this address."""
    return any(address in network for network in networks if network.version == address.version)


def _read(text: str) -> Address | None:
    """An address, with or without a port (some proxies add theirs); an IPv4 one in IPv6 clothes is that IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
