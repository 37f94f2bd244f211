"""The JSON side: what came, waiting for what will come, and planting refusals."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import orjson
from aiohttp import web
from pydantic import ValidationError

from deploy.catcher.mail import Mail, attachment_content
from deploy.catcher.mailbox import Mailbox
from deploy.catcher.refusals import Refusal, Refusals

MAILBOX: Final = web.AppKey("mailbox", Mailbox)
REFUSALS: Final = web.AppKey("refusals", Refusals)
MAX_BODY_BYTES: Final = 1024 * 1024


def json_response(body: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def problem(status: int, message: str) -> web.Response:
    """Answer with an error in plain words."""
    return json_response({"error": message}, status)


def render(mail: Mail) -> dict[str, Any]:
    """Show a mail as JSON."""
    return {
        "id": mail.id,
        "to": mail.to,
        "from": mail.sender,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "attachments": [
            {
                "name": a.name,
                "content_type": a.content_type,
                "content_id": a.content_id,
                "inline": a.is_inline,
                "size": a.size_bytes,
            }
            for a in mail.attachments
        ],
        "message_id": mail.message_id,
        "headers": dict(mail.headers),
        "received_at": datetime.fromtimestamp(mail.received_at, UTC).isoformat(timespec="milliseconds"),
    }


def wanted_by(request: web.Request) -> Callable[[Mail], bool]:
    """Read the filters ``?to=`` (an address) and ``?subject=`` (a part of it), both whatever the case."""
    to, subject = request.query.get("to", "").lower(), request.query.get("subject", "").lower()

    def keep(mail: Mail) -> bool:
        return (not to or mail.to.lower() == to) and (not subject or subject in mail.subject.lower())

    return keep


def find_mail(request: web.Request) -> Mail:
    """Return the mail the path names. Raises 404."""
    mail = request.app[MAILBOX].mails.get(int(request.match_info["id"]))
    if mail is None:
        raise web.HTTPNotFound(text=f"there is no mail {request.match_info['id']}")
    return mail


async def list_messages(request: web.Request) -> web.Response:
    """Return mails, oldest first."""
    return json_response([render(mail) for mail in request.app[MAILBOX].find(wanted_by(request))])


async def wait(request: web.Request) -> web.Response:
    """Return mails once there are ``count`` (1) of them; 408 with what there is after ``timeout_seconds`` (10)."""
    try:
        count = int(request.query.get("count", "1"))
        seconds = float(request.query.get("timeout_seconds", "10"))
    except ValueError:
        return problem(400, "count and timeout_seconds must be numbers")
    if not (0 <= count <= 1_000_000 and 0 <= seconds <= 300):
        return problem(400, "count must be from 0 to 1000000 and timeout_seconds from 0 to 300")
    mails = [render(mail) for mail in await request.app[MAILBOX].wait(wanted_by(request), count, seconds)]
    if len(mails) < count:
        return json_response({"error": f"{len(mails)} of {count} mails came", "messages": mails}, 408)
    return json_response(mails)


async def clear(request: web.Request) -> web.Response:
    """Forget every mail."""
    return json_response({"deleted": request.app[MAILBOX].clear()})


async def fetch(request: web.Request) -> web.Response:
    """Return one mail."""
    return json_response(render(find_mail(request)))


async def raw(request: web.Request) -> web.Response:
    """Return one mail as it came over the wire."""
    return web.Response(body=find_mail(request).raw, content_type="text/plain", headers=_HARMLESS)


async def attachment(request: web.Request) -> web.Response:
    """Return the bytes of an attachment, counted from 0."""
    mail, number = find_mail(request), int(request.match_info["number"])
    if number >= len(mail.attachments):
        return problem(404, f"mail {mail.id} has {len(mail.attachments)} attachments")
    described = mail.attachments[number]
    shown = described.content_type in {"image/png", "image/jpeg", "image/gif", "application/pdf"}
    name = quote(described.name or f"attachment-{number}", safe="")
    disposition = f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{name}"
    return web.Response(
        body=attachment_content(mail, number),
        content_type=described.content_type,
        # In a sandbox a browser's own PDF viewer would stay blank; images and PDFs cannot act for this page anyway.
        headers={**({"X-Content-Type-Options": "nosniff"} if shown else _HARMLESS), "Content-Disposition": disposition},
    )


# What a mail carries may be hostile: no browser may run it in the name of this page.
_HARMLESS: Final = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


async def plant(request: web.Request) -> web.Response:
    """Plant a refusal."""
    try:
        refusal = Refusal.model_validate_json(await request.read())
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors())
        return problem(400, wrong)
    request.app[REFUSALS].plant(refusal)
    return json_response(request.app[REFUSALS].view())


async def refusals(request: web.Request) -> web.Response:
    """Return the refusals in force."""
    return json_response(request.app[REFUSALS].view())


async def clear_refusals(request: web.Request) -> web.Response:
    """Take all refusals away."""
    request.app[REFUSALS].clear()
    return json_response([])


def add_api(app: web.Application) -> None:
    """Register the JSON side."""
    app.router.add_get("/messages", list_messages)
    app.router.add_delete("/messages", clear)
    app.router.add_get("/messages/wait", wait)
    app.router.add_get(r"/messages/{id:\d{1,15}}", fetch)
    app.router.add_get(r"/messages/{id:\d{1,15}}/raw", raw)
    app.router.add_get(r"/messages/{id:\d{1,15}}/attachments/{number:\d{1,6}}", attachment)
    app.router.add_post("/refusals", plant)
    app.router.add_get("/refusals", refusals)
    app.router.add_delete("/refusals", clear_refusals)
