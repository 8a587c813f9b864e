"""Serves the page, its images and what it sends, on the loopback alone.

The first part of each path is the token: who has the address may label, and no other page can.
"""

import logging
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.inference.image import UnreadableError
from edge.protocol.addresses import web_address
from steps.errors import UserError
from steps.ingestion.label_text import normalize_label
from steps.labelling.groups import Groups
from steps.labelling.image_content import as_shown
from steps.labelling.journal import JournalError
from steps.labelling.order import ORDERS, Filters, Pages, describe
from steps.labelling.proposals import Proposals
from steps.labelling.sitting import GoneError, Press, Sitting
from steps.labelling.timeline import timeline

logger = logging.getLogger("steps")

PAGE = Path(__file__).with_name("page.html")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY = 8 * 1024**2
MAX_LABEL = 200
ANSWERS = {GoneError: 410, JournalError: 507, UnreadableError: 415, UserError: 409}
"""The status of each kind of error; its text is what the page says."""
SECURITY = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data: blob:",
}


SEEN = "\u00a0\u200d\u202f\u3000"
"""Spaces, and the joiner of emoji, that Python does not call printable."""


def _label(text: str | None) -> str | None:
    """Return a label as it is stored.

    Raises:
        ValueError: it is empty, too long, or has characters that no one can see.
    """
    label = normalize_label(text)
    if text is not None and (label is None or len(label) > MAX_LABEL):
        raise ValueError(f"a label has 1 to {MAX_LABEL} characters")
    if label and not all(one.isprintable() or one in SEEN for one in label):
        raise ValueError("a label has no line break and no control character")
    return label


class Pressed(BaseModel):
    """A label of the page."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{32}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    label: Annotated[str | None, AfterValidator(_label)]
    how: Literal["key", "timeline", "grid", "proposal", "not sure"]
    action: str = Field(pattern="^[0-9a-f]{32}$")
    proposed_by: str | None = Field(None, max_length=MAX_LABEL)


class Labels(BaseModel):
    """What the page sends at once."""

    model_config = ConfigDict(extra="forbid")

    labels: list[Pressed] = Field(min_length=1, max_length=20_000)


class Hashes(BaseModel):
    """Images for which the page asks."""

    hashes: list[str] = Field(max_length=200)


def make_app(sitting: Sitting, token: str, end: Callable[[], None]) -> FastAPI:
    """Return the server's application.

    Args:
        sitting: what is labelled.
        token: the first part of each path.
        end: called when the page says that the sitting is over.
    """
    app = FastAPI(openapi_url=None)
    _guard(app, token)
    app.include_router(_reading(sitting), prefix=f"/{token}")
    app.include_router(_writing(sitting, end), prefix=f"/{token}")
    return app


def _reading(sitting: Sitting) -> APIRouter:
    """Return the addresses of the page and of what it shows."""
    routes = APIRouter()
    pages, groups = Pages(sitting), Groups(sitting)
    proposals = Proposals(sitting, sitting.features)

    @routes.get("/")
    def page() -> Response:
        return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8")

    @routes.get("/state")
    def state() -> dict[str, Any]:
        sitting.refresh()
        orders = [{"name": name, "reason": reason} for name, (reason, _) in ORDERS.items()]
        return sitting.summary() | {"orders": orders}

    @routes.get("/next")
    def following(filters: Annotated[Filters, Query()]) -> dict[str, Any]:
        return pages.following(filters)

    @routes.get("/group")
    def group(filters: Annotated[Filters, Query()]) -> dict[str, Any]:
        return groups.page(filters)

    @routes.post("/proposals")
    def propose(asked: Hashes) -> dict[str, Any]:
        return proposals.of(asked.hashes)

    @routes.get("/timeline")
    def frames(device: str, day: date) -> dict[str, Any]:
        return timeline(sitting, device, day)

    @routes.get("/image/{sha256}/about")
    def about(sha256: str) -> dict[str, Any]:
        return describe(sitting, sitting.number_of(sha256))

    @routes.get("/image/{sha256}")
    def image(sha256: str, side: Annotated[int, Query(ge=0, le=4096)] = 1280) -> Response:
        content, kind = as_shown(sitting.read_image(sha256), side)
        kept = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(content, media_type=kind, headers=kept)

    return routes


def _writing(sitting: Sitting, end: Callable[[], None]) -> APIRouter:
    """Return the addresses to which the page sends what is done on it."""
    routes = APIRouter()

    @routes.post("/labels")
    def label(given: Labels) -> dict[str, Any]:
        sitting.label([Press(**one.model_dump()) for one in given.labels])
        return sitting.summary()

    @routes.post("/undo")
    def undo() -> dict[str, Any]:
        return {"undone": sitting.undo()} | sitting.summary()

    @routes.post("/done")
    def done() -> dict[str, Any]:
        end()
        return sitting.summary()

    return routes


def _guard(app: FastAPI, token: str) -> None:
    """Refuse what no page of this server sends, and answer an error in one line."""

    @app.middleware("http")
    async def check(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if refused := _refusal(request, token):
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
        place = ".".join(map(str, first["loc"][1:]))
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)

    for kind, status in ANSWERS.items():
        app.add_exception_handler(kind, _answer_with(status))


def _answer_with(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"error": str(error)}, status)


def _refusal(request: Request, token: str) -> tuple[int, str] | None:
    """Return the status and the reason if a request is refused."""
    host = request.headers.get("host", "")
    if _name(f"//{host}") not in LOOPBACK:
        return 403, "open the page as 127.0.0.1 or localhost; from elsewhere, by the ssh -L line"
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
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


class Server:
    """The page's server, in a thread of its own until it is stopped.

    Args:
        sitting: what is labelled.
        port: 0 for any free one.

    Raises:
        UserError: the port cannot be used.
    """

    def __init__(self, sitting: Sitting, port: int):
        self.over = threading.Event()
        self.token = secrets.token_urlsafe(18)
        try:
            self._socket = socket.create_server((LOOPBACK[0], port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); pass -P port=0 for any free one"
            ) from error
        # accepted ones inherit it: asyncio sets it for none, and Nagle's algorithm costs 40 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(self._socket.getsockname()[1])
        self.address = f"{web_address(LOOPBACK[0], self.port)}/{self.token}/"
        config = uvicorn.Config(
            make_app(sitting, self.token, self.over.set),
            log_level="warning",
            access_log=False,  # it would print the token
            server_header=False,
            loop="asyncio",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=3,
        )
        self._server = uvicorn.Server(config)
        serve = {"sockets": [self._socket]}
        self._thread = threading.Thread(target=self._server.run, kwargs=serve, daemon=True)
        self._thread.start()
        sitting.journal.show(self.address)

    def stop(self) -> None:
        """Answer the requests that run, and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
