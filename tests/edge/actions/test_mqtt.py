"""MQTT against a real broker that goes away, refuses and encrypts."""

import datetime
import io
import ipaddress
import json
import os
import subprocess
import time

import pytest
from agent_fakes import take_frames
from broker import Listener, broker, free_port, needs_broker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image
from running_agent import CONFIG, running

from edge.actions.action import ActionError, ActionSettings
from edge.actions.mqtt import Mqtt
from edge.agent.settings import ScoreSettings
from edge.cameras.jpeg import encode_smaller

STATE, HEALTH = "lakehouse-vision/a7/state", "lakehouse-vision/a7/health"
AVAILABILITY = "lakehouse-vision/a7/availability"

pytestmark = needs_broker

EVERY_ENTITY = {
    *("availability", "availability_mode", "availability_template", "availability_topic"),
    *("default_entity_id", "device", "device_class", "enabled_by_default", "encoding"),
    *("entity_category", "expire_after", "force_update", "icon"),
    *("json_attributes_template", "json_attributes_topic", "name", "origin"),
    *("payload_available", "payload_not_available", "platform", "qos", "state_topic"),
    *("unique_id", "value_template"),
}
KEYS = {
    "sensor": EVERY_ENTITY
    | {"last_reset_value_template", "options", "state_class", "suggested_display_precision"}
    | {"unit_of_measurement"},
    "binary_sensor": EVERY_ENTITY | {"off_delay", "payload_off", "payload_on"},
    "image": EVERY_ENTITY - {"qos", "state_topic", "device_class", "value_template"}
    | {"content_type", "image_encoding", "image_topic", "url_template", "url_topic"},
}
"""Keys that Home Assistant documents for each kind of entity; it refuses one with another key."""
DEVICE_KEYS = {
    *("configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model"),
    *("model_id", "name", "serial_number", "suggested_area", "sw_version", "via_device"),
}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def acting(with_model, clock, port, monkeypatch):
    """An agent that publishes; its camera shows one grey for long enough."""
    monkeypatch.setattr(Mqtt, "first_retry_seconds", 0.5)
    monkeypatch.setattr("edge.actions.action.LONGEST_RETRY_SECONDS", 0.5)
    agent = with_model(
        actions={"home": ActionSettings("mqtt", f"mqtt://127.0.0.1:{port}")},
        score=ScoreSettings(control_per_day=0),
    )

    def show(grey: int) -> None:
        agent.parts.camera.grey = grey
        take_frames(agent, clock, 6)

    agent.show = show
    agent.parts.actions.start()
    yield agent
    agent.parts.actions.stop()


def state_of(payload: bytes | None) -> str | None:
    return json.loads(payload)["state"] if payload else None


def test_state_score_health_and_discovery_are_retained(tmp_path, acting, port):
    with broker(tmp_path, port):
        acting.show(10)
        acting.show(250)
        first = Listener(port)
        first.wait_for(lambda: state_of(first.retained.get(STATE)) == "bright")
        first.wait_for(lambda: HEALTH in first.retained)
        first.close()
        late = Listener(port)
        late.wait_for(lambda: len(late.retained) == 7)
        late.close()
        assert not late.live
        acting.parts.actions.stop()
        last = Listener(port)
        last.wait_for(lambda: last.retained.get(AVAILABILITY) == b"offline")
        last.close()
    message = json.loads(late.retained[STATE])
    assert message["score"] > 0.9 and message["previous"] == "dark" and message["device"] == "a7"
    assert json.loads(late.retained[HEALTH])["healthy"] is True
    assert late.retained[AVAILABILITY] == b"online"
    entities = {topic: json.loads(text) for topic, text in late.retained.items() if "conf" in topic}
    assert sorted(entities) == [
        "homeassistant/binary_sensor/lakehouse-vision-a7/problem/config",
        "homeassistant/sensor/lakehouse-vision-a7/score/config",
        "homeassistant/sensor/lakehouse-vision-a7/state/config",
        "homeassistant/sensor/lakehouse-vision-a7/temperature/config",
    ]
    for topic, entity in entities.items():
        assert set(entity) <= KEYS[topic.split("/")[1]], topic
        assert {"state_topic", "unique_id", "device"} <= set(entity)
        assert set(entity["device"]) <= DEVICE_KEYS and entity["device"]["identifiers"]
        assert entity["availability_topic"] == AVAILABILITY
        assert entity["state_topic"] in late.retained
    assert len({entity["unique_id"] for entity in entities.values()}) == 4
    options = entities["homeassistant/sensor/lakehouse-vision-a7/state/config"]["options"]
    assert options == ["dark", "bright", "unsure"]


BROKER_AWAY = float(os.environ.get("BROKER_AWAY", "1"))
"""Seconds without a broker; 600 is what a device should survive."""


def test_after_a_time_without_a_broker_the_state_is_right_and_no_stale_one_is_sent(
    tmp_path, acting, port
):
    with broker(tmp_path, port):
        acting.show(10)
        before = Listener(port)
        before.wait_for(lambda: state_of(before.retained.get(STATE)) == "dark")
        before.close()
    end = time.monotonic() + BROKER_AWAY
    while time.monotonic() < end:
        for grey in (250, 10, 250, 10):
            acting.show(grey)
        time.sleep(min(5, max(end - time.monotonic(), 0)))
    action = acting.status()["actions"]["home"]
    assert action["waiting"] == 1
    with broker(tmp_path, port):
        after = Listener(port)
        after.wait_for(lambda: STATE in after.retained)
        after.wait_for(lambda: HEALTH in after.retained)
        assert state_of(after.retained[STATE]) == "dark"
        acting.show(250)
        after.wait_for(lambda: state_of(after.retained[STATE]) == "bright")
        after.close()
    states = [state_of(payload) for topic, payload, _ in after.live if topic == STATE]
    # the first was retained already if the agent was back before the listener
    assert states in (["dark", "bright"], ["bright"])
    assert after.retained[AVAILABILITY] == b"online"


def test_the_frame_of_the_last_change_is_an_image_if_the_settings_say_so(
    tmp_path, with_model, clock, port, monkeypatch
):
    encoded = []
    monkeypatch.setattr("edge.actions.mqtt.REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(
        "edge.actions.mqtt.encode_smaller",
        lambda image, side: encoded.append(side) or encode_smaller(image, side),
    )
    url = f"mqtt://127.0.0.1:{port}"
    agent = with_model(actions={"home": ActionSettings("mqtt", url, image=True)})
    with broker(tmp_path, port):
        heard = Listener(port)
        agent.parts.actions.start()
        for grey in (10, 250):
            agent.parts.camera.grey = grey
            take_frames(agent, clock, 6)
        # what was retained before a listener came is heard in any order
        topic = "lakehouse-vision/a7/image"
        heard.wait_for(
            lambda: topic in heard.retained and state_of(heard.retained.get(STATE)) == "bright"
        )
        image = heard.retained[topic]  # who hears the state has it already
        time.sleep(0.5)
        assert len(encoded) <= 2  # not again with each refresh
        agent.parts.actions.stop()
        heard.close()
    opened = Image.open(io.BytesIO(image))
    assert (opened.format, opened.size) == ("JPEG", (64, 48))
    assert abs(opened.convert("L").getpixel((40, 30)) - 250) < 3
    entity = heard.retained["homeassistant/image/lakehouse-vision-a7/image/config"]
    assert set(json.loads(entity)) <= KEYS["image"]
    assert json.loads(entity)["image_topic"] in heard.retained


def test_a_camera_that_is_broken_at_the_start_is_a_problem(tmp_path, acting, port, clock):
    """Not what an earlier process said when it last had a frame."""
    acting.parts.camera.fault = "gone"
    take_frames(acting, clock, 1)
    with broker(tmp_path, port):
        heard = Listener(port)
        heard.wait_for(lambda: HEALTH in heard.retained)
        heard.close()
    assert json.loads(heard.retained[HEALTH])["healthy"] is False


def test_after_each_restart_of_the_broker_the_state_comes_back(tmp_path, acting, port):
    acting.show(10)
    for number in range(5):
        with broker(tmp_path, port):
            heard = Listener(port)
            grey, state = ((10, "dark"), (250, "bright"))[number % 2]
            acting.show(grey)
            heard.wait_for(lambda heard=heard, s=state: state_of(heard.retained.get(STATE)) == s)
            heard.close()


@pytest.mark.slow
def test_a_killed_device_is_offline(tmp_path, port):
    config = CONFIG + f'[actions.home]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1:{port}"\n'
    with broker(tmp_path, port):
        heard = Listener(port)
        with running(tmp_path, config=config) as agent:
            heard.wait_for(lambda: heard.retained.get(AVAILABILITY) == b"online", 60)
            heard.wait_for(lambda: STATE in heard.retained, 60)
            agent.process.kill()
            heard.wait_for(lambda: heard.retained.get(AVAILABILITY) == b"offline")
        heard.close()


def _certificates(home):
    """A certificate of its own for 127.0.0.1, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "broker.pem").write_bytes(certificate.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (home / "broker.key").write_bytes(key.private_bytes(pem, *private))


@pytest.mark.parametrize(
    ("scheme", "trusts", "password", "error"),
    [
        ("mqtts", True, "right", None),
        (
            "mqtts",
            True,
            "wrong",
            r"refuses this device \(Not authorized\): check ACTIONS_HOME_USER",
        ),
        ("mqtts", False, "right", "certificate verify failed"),
        ("mqtt", True, "right", r"mqtt://127\.0\.0\.1:\d+ "),
    ],
)
def test_tls_user_and_password(tmp_path, port, monkeypatch, scheme, trusts, password, error):
    _certificates(tmp_path)
    users = tmp_path / "users"
    users.write_text("porch:right\n")
    users.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(users)], check=True)
    lines = [f"certfile {tmp_path}/broker.pem", f"keyfile {tmp_path}/broker.key"]
    monkeypatch.setenv("ACTIONS_HOME_USER", "porch")
    monkeypatch.setenv("ACTIONS_HOME_PASSWORD", password)
    monkeypatch.setattr("edge.actions.mqtt.CONNECT_SECONDS", 2)
    ca = str(tmp_path / "broker.pem") if trusts else ""
    settings = ActionSettings("mqtt", f"{scheme}://127.0.0.1:{port}", ca_file=ca)
    action = Mqtt("home", settings, "a7", dict)
    with broker(tmp_path, port, *lines, f"password_file {users}"):
        if error is None:
            assert action.check() == f"mqtts://127.0.0.1:{port} answers"
            return
        with pytest.raises(ActionError, match=error) as raised:
            action.check()
    assert "\n" not in str(raised.value) and password not in str(raised.value)


def test_a_broker_that_is_away_delays_nothing(acting):
    begin = time.perf_counter()
    for grey in (10, 250, 10):
        acting.show(grey)
    assert time.perf_counter() - begin < 2
    while (failure := acting.status()["actions"]["home"]["failure"]) is None:
        assert time.perf_counter() - begin < 10
    assert "cannot be reached: [Errno 111] Connection refused" in failure
