"""Publishes the state of the camera to an MQTT broker, where Home Assistant finds it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from edge.actions.action import (
    CONNECT_SECONDS,
    Action,
    ActionError,
    ActionSettings,
    CameraState,
    Health,
    from_environment,
    variable,
)
from edge.actions.discovery import Topics, discovery_messages
from edge.cameras.camera import FrameImage
from edge.cameras.jpeg import encode_smaller
from edge.inference.errors import UnreadableError, describe_error

KEEPALIVE_SECONDS = 30
REFRESH_SECONDS = 60.0
"""Between two messages with a new score or health while the state stays the same."""
ACKNOWLEDGE_SECONDS = 10.0
IMAGE_SIDE = 640
"""Pixels of the longer side of an image."""
HEALTH = ("healthy", "health_issues", "temperature_celsius", "model_version")
ONLINE, OFFLINE = b"online", b"offline"


class Mqtt(Action):
    """Keeps the newest state in a retained message, with quality of service 1.

    Nothing is queued: after a time without a broker, only the state at that moment is published.
    """

    schemes = ("mqtts", "mqtt")

    def __init__(self, name: str, settings: ActionSettings, device: str, health: Health):
        super().__init__(name, settings, device, health)
        root = f"{settings.topic}/{device}"
        self._topics = Topics(f"{root}/state", f"{root}/health", f"{root}/availability")
        if settings.image:
            self._topics = self._topics._replace(image=f"{root}/image")
        self._newest: CameraState | None = None
        self._image: FrameImage | None = None
        self._sent_id: str | None = None

    def observe(self, state: CameraState, is_change: bool, image: FrameImage) -> None:
        """Take the newest state; a change is published at once."""
        if is_change and self.settings.image:
            self._image = image
        self._newest = state
        if is_change:
            self._wake.set()

    def waiting(self) -> int:
        """Return 1 if the newest change was not published."""
        newest = self._newest
        return int(newest is not None and newest.id != self._sent_id)

    def check(self) -> str:
        """Connect, and publish nothing."""
        # as another client: the broker would end the connection of the agent that runs
        with self._connect("-check", lambda: None):
            return f"{self.address} answers"

    def _work(self) -> None:
        """Stay connected until the connection ends."""
        with self._connect("", self._wake.set) as connection:
            connection.publish(self._topics.availability, ONLINE)
            self._succeed()
            shown = None
            while not self._stopping.is_set():
                if newest := self._newest:
                    self._publish(connection, newest, with_image=newest.id != shown)
                    shown = newest.id
                status = self.health()  # also without a frame: the camera may be what is broken
                health = {name: status.get(name) for name in HEALTH}
                connection.publish(self._topics.health, json.dumps(health).encode())
                self._wake.wait(REFRESH_SECONDS)
                self._wake.clear()
                connection.require()
            # a broker sends the last will only for a client that did not say goodbye
            connection.publish(self._topics.availability, OFFLINE)

    def _publish(self, connection: "_Connection", state: CameraState, with_image: bool) -> None:
        if self.settings.discovery:
            messages = discovery_messages(self.settings.discovery, self._topics, state)
            for topic, payload in messages.items():
                connection.publish(topic, payload)
        if with_image and (image := self._image) is not None:
            # before the state, so that who waits for that has the image already
            with suppress(UnreadableError):
                connection.publish(self._topics.image, encode_smaller(image, IMAGE_SIDE))
        connection.publish(self._topics.state, state.json())
        self._sent_id = state.id

    @contextmanager
    def _connect(self, suffix: str, on_end: Callable[[], None]) -> Iterator["_Connection"]:
        # here, since it takes memory that a device without MQTT has no use for
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        url = urlsplit(self.settings.url)
        is_secure = url.scheme == "mqtts"
        # always the same ID: the broker ends an earlier connection of this device when the next one
        # begins, not minutes later, when its last will would say that the device is offline.
        # Never connected again: paho would first send what the last connection left behind.
        client = Client(
            CallbackAPIVersion.VERSION2,
            f"lakehouse-vision-{self.device}-{self.name}{suffix}",
            reconnect_on_failure=False,
        )
        user, password = (from_environment(self.name, part) for part in ("USER", "PASSWORD"))
        if user:
            client.username_pw_set(user, password)
        if not suffix:
            client.will_set(self._topics.availability, OFFLINE, qos=1, retain=True)
        connection = _Connection(client, self.address, on_end)
        try:
            if is_secure:
                client.tls_set(self.settings.ca_file or None)
            port = url.port or (8883 if is_secure else 1883)
            client.connect(str(url.hostname), port, KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            why = f"{self.address} cannot be reached: {describe_error(error)}"
            raise ActionError(why) from error
        client.loop_start()
        try:
            if refusal := connection.refusal():
                user_variable, password_variable = (
                    variable(self.name, part) for part in ("USER", "PASSWORD")
                )
                raise ActionError(
                    f"{self.address} refuses this device ({refusal}): check {user_variable} and "
                    f"{password_variable}"
                )
            yield connection
        finally:
            client.disconnect()
            client.loop_stop()


class _Connection:
    """One connection to a broker.

    Args:
        client: paho's.
        address: of the broker, as it may be shown.
        on_end: called when the connection ends.
    """

    def __init__(self, client: Any, address: str, on_end: Callable[[], None]):
        self._client, self._address, self._on_end = client, address, on_end
        self._answered, self._ended = threading.Event(), threading.Event()
        self._refusal = "it does not answer"
        self._sent: dict[str, bytes] = {}
        client.on_connect, client.on_disconnect = self._connected, self._disconnected

    def refusal(self) -> str:
        """Wait for the broker's answer; return why it refuses, or an empty text."""
        self._answered.wait(CONNECT_SECONDS)
        return self._refusal

    def require(self) -> None:
        """Raise :class:`ActionError` if the connection has ended."""
        if self._ended.is_set():
            raise ActionError(f"{self._address} ended the connection")

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish a message unless it was the last one of its topic, and wait until it arrived.

        With one message at a time, none is left to be sent later, when it is no longer true.

        Raises:
            ActionError: the connection has ended, or the broker does not confirm the message.
        """
        if self._sent.get(topic) == payload:
            return
        sent = self._client.publish(topic, payload, qos=1, retain=True)
        for _ in range(round(10 * ACKNOWLEDGE_SECONDS)):
            self.require()
            with suppress(RuntimeError):  # not connected, which the next turn finds
                sent.wait_for_publish(0.1)
                if sent.is_published():
                    self._sent[topic] = payload
                    return
        raise ActionError(f"{self._address} does not confirm a message")

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        self._answered.set()

    def _disconnected(self, *_: Any) -> None:
        self._ended.set()
        self._answered.set()
        self._on_end()
