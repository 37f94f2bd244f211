"""What MAILER_SMTP_URL may say."""

import pytest

from services.mailer.smtp_url import SmtpServer, parse_smtp_url


def server(**changes: object) -> SmtpServer:
    values: dict[str, object] = {
        "host": "mail.example",
        "port": 25,
        "username": None,
        "password": None,
        "use_tls": False,
        "start_tls": None,
        "ca_file": None,
    }
    return SmtpServer(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", server()),
        ("smtp://mail.example:2525/", server(port=2525)),
        ("smtp://mail.example?starttls=0", server(start_tls=False)),
        ("smtp://u:p%40ss@mail.example?starttls=1", server(port=587, username="u", password="p@ss", start_tls=True)),
        ("smtps://u:p@mail.example", server(port=465, username="u", password="p", use_tls=True, start_tls=False)),
        (
            "smtps://mail.example?cafile=/etc/ca.pem",
            server(port=465, use_tls=True, start_tls=False, ca_file="/etc/ca.pem"),
        ),
        ("smtp://u:p@127.0.0.1:25", server(host="127.0.0.1", username="u", password="p")),
        ("smtp://u:p@[::1]:25", server(host="::1", username="u", password="p")),
    ],
)
def test_a_url_names_a_server(url: str, expected: SmtpServer) -> None:
    assert parse_smtp_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example:25",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example/inbox",
        "smtp://mail.example:99999",
        "smtp://mail.example?starttls=yes",
        "smtp://mail.example?tls=1",
        "smtp://mail.example?starttls",
        "smtps://mail.example?starttls=1",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_smtp_url(url)


@pytest.mark.parametrize("url", ["smtp://u:hunter22@mail.example", "smtp://u:hunter22@mail.example?starttls=0"])
def test_a_password_never_travels_in_the_clear_and_is_never_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="in the clear") as caught:
        parse_smtp_url(url)
    assert "hunter22" not in str(caught.value)
    assert "hunter22" not in repr(parse_smtp_url("smtps://u:hunter22@mail.example"))
