"""A real MQTT broker, mosquitto, and a client that hears everything on it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="NOT PROVEN HERE: no mosquitto; apt-get install mosquitto"
)


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


@contextmanager
def broker(home: Path, port: int, *lines: str) -> Iterator[subprocess.Popen]:
    """Run mosquitto on the loopback; what it retains is lost when it ends."""
    config = home / "mosquitto.conf"
    listener = [f"listener {port} 127.0.0.1", "persistence false", "user root"]
    access = [] if any("password_file" in line for line in lines) else ["allow_anonymous true"]
    config.write_text("\n".join([*listener, *access, *lines, ""]))
    log = home / "mosquitto.log"
    with log.open("a") as output:
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=output, stderr=output)
    try:
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait(10)


class Listener:
    """Hears every message; those that came while it listened, and those that were retained."""

    def __init__(self, port: int):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.live, self.retained = [], {}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, client, data, message):
        self.retained[message.topic] = message.payload
        if not message.retain:
            self.live.append((message.topic, message.payload, time.perf_counter()))

    def wait_for(self, condition, seconds: float = 20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not heard: {self.retained}"
            time.sleep(0.005)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
