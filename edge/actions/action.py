"""What every action is: something that learns the state of the camera in a thread of its own."""

import json
import logging
import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from edge.cameras.camera import FrameImage
from edge.inference.errors import UserError, describe_error
from edge.protocol.addresses import is_address
from edge.protocol.backoff import backoff_seconds

logger = logging.getLogger(__name__)

LONGEST_RETRY_SECONDS = 300.0
CONNECT_SECONDS = 10.0
STOP_SECONDS = 2.0


Health = Callable[[], dict[str, Any]]
"""Returns the device's status."""


class ActionError(UserError):
    """An action cannot do its work."""


@dataclass(frozen=True)
class ActionSettings:
    """``[actions.<name>]``: the settings of all actions; each reads those that it knows.

    Attributes:
        kind: of the table :data:`edge.actions.kinds.ACTIONS`.
        url: where it goes.
        secret_file: holds a webhook's secret, unless the environment does.
        ca_file: certificates to trust instead of the system's.
        topic: of MQTT, before the device's name.
        discovery: Home Assistant's topic for discovery; "" for none.
        image: whether MQTT gets the frame of each change, too.
    """

    kind: str
    url: str
    secret_file: str = ""
    ca_file: str = ""
    topic: str = "lakehouse-vision"
    discovery: str = "homeassistant"
    image: bool = False


@dataclass(frozen=True)
class CameraState:
    """The state of a camera, as it is sent.

    Attributes:
        id: of the change that led to it.
        device, view: of the camera.
        state: a label, or ``unsure``.
        previous: the state before; None if there was none.
        at: when it changed, ISO; None if the clock was not set.
        score: the probability of that label in the newest frame, 0–1.
        model, model_version: that scored it.
        labels: that the model knows.
    """

    id: str
    device: str
    view: str
    state: str
    previous: str | None
    at: str | None
    score: float = 0.0
    model: str = ""
    model_version: str = ""
    labels: list[str] = field(default_factory=list)

    def json(self) -> bytes:
        """Return it as a message."""
        fields = asdict(self) | {"score": round(self.score, 4)}
        del fields["labels"]
        return json.dumps(fields).encode()


class Action(ABC):
    """Sends the state of the camera somewhere; its class stands in the table ``ACTIONS``.

    Args:
        name: from the settings file.
        settings: whose url has no :meth:`url_error`.
        device: the ID of this device.
        health: returns the device's status.

    Attributes:
        schemes: of its URL.
        failure: why nothing can be sent; None if all is well.

    Raises:
        ActionError: a secret is missing or not valid.
    """

    schemes: ClassVar[tuple[str, ...]]
    first_retry_seconds: ClassVar[float] = 1.0

    def __init__(self, name: str, settings: ActionSettings, device: str, health: Health):
        self.name, self.settings, self.device, self.health = name, settings, device, health
        url = urlsplit(settings.url)
        # without the path, which is as good as a password in many webhooks
        self.address = f"{url.scheme}://{url.netloc}"
        self.failure: str | None = None
        self._wake, self._stopping, self._failures = threading.Event(), threading.Event(), 0
        self._thread = threading.Thread(target=self._run, name=f"action {name}", daemon=True)

    @classmethod
    def url_error(cls, url: str) -> str | None:
        """Return what is wrong with a URL, or None."""
        if not is_address(url, cls.schemes):
            schemes = " or ".join(f"{one}://" for one in cls.schemes)
            return f"it must begin with {schemes} and a host's name or address"
        return (
            "user and password belong into the environment" if "@" in urlsplit(url).netloc else None
        )

    def start(self) -> None:
        """Start to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS)

    @abstractmethod
    def observe(self, state: CameraState, is_change: bool, image: FrameImage) -> None:
        """Note the state by the newest frame, and that frame; this never waits for a network."""

    @abstractmethod
    def check(self) -> str:
        """Connect once, and return what answered; raises :class:`ActionError`."""

    @abstractmethod
    def waiting(self) -> int:
        """Return how many changes wait to be sent."""

    @abstractmethod
    def _work(self) -> None:
        """Wait for something to send, and send it; what this raises is retried after a pause."""

    def _succeed(self) -> None:
        self.failure, self._failures = None, 0

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
                continue
            except (ActionError, OSError) as error:
                failure = describe_error(error)
            except Exception as error:  # a bug: log its trace, and keep this action running
                logger.exception("%s", self.name)
                failure = describe_error(error)
            if failure != self.failure:
                logger.warning("%s: %s", self.name, failure)
            self.failure, self._failures = failure, self._failures + 1
            self._stopping.wait(
                backoff_seconds(self._failures, self.first_retry_seconds, LONGEST_RETRY_SECONDS)
            )


def from_environment(action: str, part: str) -> str:
    """Return an action's secret from the environment; "" if it is not set.

    Args:
        action: its name in the settings file, such as ``door``.
        part: such as ``SECRET``: the variable is ``ACTIONS_DOOR_SECRET``.
    """
    return os.environ.get(variable(action, part), "")


def variable(action: str, part: str) -> str:
    """Return the name of an action's environment variable.

    >>> variable("front-door", "SECRET")
    'ACTIONS_FRONT_DOOR_SECRET'
    """
    return f"ACTIONS_{action}_{part}".upper().replace("-", "_")


def read_secret(path: Path) -> str:
    """Return the content of a file that only its owner may read.

    Raises:
        ActionError: it cannot be read, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ActionError(f"the secret {path} cannot be read: {describe_error(error)}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ActionError(f"others may read the secret {path}: chmod 600 {path}")
    return content
