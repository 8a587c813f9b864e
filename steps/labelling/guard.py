"""Refuses what no page of this server sends, and answers an error in one line."""

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from edge.inference.errors import UnreadableError
from steps.errors import UserError
from steps.labelling.journal import JournalError
from steps.labelling.sitting import GoneError
from steps.settings.validation_errors import describe_item

MAX_BODY = 8 * 1024**2
ANSWERS = {GoneError: 410, JournalError: 507, UnreadableError: 415, UserError: 409}
"""The status of each kind of error; its text is what the page says."""
SECURITY = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data: blob:",
}


def guard(app: FastAPI, token: str, hosts: tuple[str, ...]) -> None:
    """Let an application answer those who know its token, as one of its hosts."""

    @app.middleware("http")
    async def check(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if refused := _refusal(request, token, hosts):
            response: Response = JSONResponse({"error": refused[1]}, refused[0])
        else:
            response = await answer(request)
        for name, value in SECURITY.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        reason = describe_item(first)
        if first["type"] != "value_error":  # ours say what they are about
            reason = f"{'.'.join(map(str, first['loc'][1:]))}: {reason}"
        return JSONResponse({"error": reason}, 422)

    for kind, status in ANSWERS.items():
        app.add_exception_handler(kind, _answer_with(status))


def _answer_with(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"error": str(error)}, status)


def _refusal(request: Request, token: str, hosts: tuple[str, ...]) -> tuple[int, str] | None:
    """Return the status and the reason if a request is refused."""
    host = request.headers.get("host", "")
    if _name(f"//{host}") not in hosts:
        return 403, f"open the page as {' or '.join(hosts[:2])}; from elsewhere, as `label` says"
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{host}":
        return 403, "another site's page may not use this one"
    given = request.url.path.split("/")[1]
    if not secrets.compare_digest(given.encode(), token.encode()):
        return 403, "the address lacks its token; use the one that `label` printed"
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        return 413, f"a request has {MAX_BODY} bytes at most"
    if request.method == "POST" and "content-length" not in request.headers:
        return 411, "a request says how long it is"
    return None


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
