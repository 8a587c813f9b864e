"""POSTs each change of the state to a URL, signed as https://www.standardwebhooks.com describes."""

import base64
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path

from urllib3.exceptions import HTTPError

from edge.actions.action import (
    CONNECT_SECONDS,
    Action,
    ActionError,
    ActionSettings,
    CameraState,
    Health,
    from_environment,
    read_secret,
    variable,
)
from edge.cameras.camera import FrameImage
from edge.protocol.webhook_signature import MIN_SECRET_BYTES, sign
from edge.update.client import Client

MAX_WAITING = 100
"""Changes that wait for a server; beyond them, the oldest is dropped."""
WAKE_SECONDS = 1.0
REQUEST_SECONDS = 30.0
"""Of a request and the head of its answer, however slowly their bytes come."""


class Webhook(Action):
    """Sends every change once, in their order, and retries until the server accepts it.

    Changes wait in memory only: after a restart, the receiver gets the next one.

    Attributes:
        dropped: how many changes were dropped, since too many waited.
    """

    schemes = ("https", "http")

    def __init__(self, name: str, settings: ActionSettings, device: str, health: Health):
        super().__init__(name, settings, device, health)
        self._secret, self.dropped = _secret(name, settings.secret_file), 0
        self._changes: deque[CameraState] = deque()
        self._lock = threading.Lock()
        self._client = Client(settings.url, settings.ca_file)

    def observe(self, state: CameraState, is_change: bool, image: FrameImage) -> None:
        """Queue a change."""
        if not is_change:
            return
        with self._lock:
            if len(self._changes) == MAX_WAITING:
                self._changes.popleft()
                self.dropped += 1
            self._changes.append(state)
        self._wake.set()

    def waiting(self) -> int:
        """Return how many changes wait to be sent."""
        return len(self._changes)

    def check(self) -> str:
        """Connect, and send nothing."""
        self._request("HEAD")
        return f"{self.address} answers"

    def _work(self) -> None:
        self._wake.wait(WAKE_SECONDS)
        self._wake.clear()
        while self._changes and not self._stopping.is_set():
            change = self._changes[0]
            self._post(change)
            with self._lock:  # unless it was dropped meanwhile
                if self._changes and self._changes[0] is change:
                    self._changes.popleft()
            self._succeed()

    def _post(self, change: CameraState) -> None:
        body, at = change.json(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": change.id,
            "webhook-timestamp": at,
            "webhook-signature": sign(self._secret, change.id, at, body),
        }
        status = self._request("POST", body, headers)
        if not 200 <= status < 300:
            raise ActionError(f"{self.address} answers with status {status}")

    def _request(
        self, method: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> int:
        """Return the status of the answer, whose body is not read: it may have any length."""
        try:
            with self._client.deadline.within(REQUEST_SECONDS):
                answer = self._client.request(
                    method, headers=headers, body=body, timeout=CONNECT_SECONDS
                )
                with closing(answer):
                    return answer.status
        except HTTPError as error:
            if self._client.deadline.is_over:
                why = f"{self.address} does not answer within {REQUEST_SECONDS:g} s"
                raise ActionError(why) from error
            # the error's own text shows the path
            why = f"{self.address} cannot be reached: {type(error).__name__}"
            raise ActionError(why) from error


def _secret(name: str, file: str) -> bytes:
    text = from_environment(name, "SECRET") or (read_secret(Path(file)) if file else "")
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        secret = b""
    if len(secret) < MIN_SECRET_BYTES:
        wrong = f"is no base64 of {MIN_SECRET_BYTES} bytes or more" if text else "is missing"
        raise ActionError(
            f"the secret of actions.{name} {wrong}: set {variable(name, 'SECRET')} or secret_file "
            "to what `openssl rand -base64 32` prints"
        )
    return secret
