"""Where mail goes: ``smtp://user:password@host:port?starttls=1`` or ``smtps://user:password@host:port``."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_OPTIONS = {"starttls", "cafile"}
_STARTTLS = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """One SMTP server and how to speak to it."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    #: TLS from the first octet.
    use_tls: bool
    #: True: STARTTLS or nothing. None: if the server offers it. False: never.
    start_tls: bool | None
    #: A file of certificates to trust instead of the system's.
    ca_file: str | None


def parse_smtp_url(url: str) -> SmtpServer:
    """The server a URL names. Raises ValueError, which never repeats the URL since it may hold a password.

    A password may only travel encrypted, or to this machine itself.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("must be smtp://[user:password@]host[:port][?starttls=0|1] or smtps://...")
    try:
        options = parse_qs(parts.query, strict_parsing=bool(parts.query), max_num_fields=len(_OPTIONS))
        port = parts.port
    except ValueError:
        raise ValueError("has a wrong port or a malformed query") from None
    if unknown := options.keys() - _OPTIONS:
        raise ValueError(f"has unknown options: {', '.join(sorted(unknown))}; there are starttls and cafile")
    start_tls = _read_starttls(options.get("starttls", [None])[-1])
    use_tls = parts.scheme == "smtps"
    if use_tls and start_tls:
        raise ValueError("smtps:// is TLS from the start; starttls=1 belongs to smtp://")
    if parts.username and not (use_tls or start_tls or _is_here(parts.hostname)):
        raise ValueError("would send the password in the clear; use smtps:// or ?starttls=1")
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if use_tls else 587 if start_tls else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=use_tls,
        start_tls=False if use_tls else start_tls,
        ca_file=options.get("cafile", [None])[-1],
    )


def _read_starttls(text: str | None) -> bool | None:
    if text is None:
        return None
    if text not in _STARTTLS:
        raise ValueError("starttls must be 0 or 1")
    return _STARTTLS[text]


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
