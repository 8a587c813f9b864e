"""Webhooks, received by a real server that refuses, hangs up and goes away."""

import base64
import dataclasses
import hashlib
import hmac
import json
import socket
import time
from contextlib import suppress

import pytest
from agent_fakes import NOBODY, agent_of, place_model, take_frames
from receiver import receiver

from edge.actions.action import ActionError, ActionSettings, CameraState
from edge.actions.webhook import MAX_WAITING, Webhook
from edge.agent.settings import ModelSettings
from edge.inference.errors import UserError

SECRET = base64.b64encode(bytes(range(32))).decode()
STATE = CameraState("msg_1", "a7", "porch", "1", "0", None, 0.98765, "package", "4", ["0", "1"])


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("ACTIONS_DOOR_SECRET", SECRET)
    monkeypatch.setattr(Webhook, "first_retry_seconds", 0.01)


@pytest.fixture
def webhook():
    """Makes a running webhook for an address."""
    made = []

    def make(url: str) -> Webhook:
        made.append(Webhook("door", ActionSettings("webhook", url), "a7", dict))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def state(number: int) -> CameraState:
    return dataclasses.replace(STATE, id=f"msg_{number}", state=str(number))


def test_a_change_of_the_answer_is_posted_and_signed(with_model, clock, monkeypatch):
    with receiver() as server:
        action = ActionSettings("webhook", f"http://127.0.0.1:{server.server_port}/hook")
        agent = with_model(actions={"door": action})
        agent.parts.actions.start()
        agent.parts.camera.grey = 10
        take_frames(agent, clock, 6)
        for grey in [250, 10] * 10 + [250] * 6:
            agent.parts.camera.grey = grey
            take_frames(agent, clock, 1)
        server.wait_for(2)
        agent.parts.actions.stop()
    assert server.states == ["dark", "bright"]
    headers, body, _ = server.received[1]
    message = json.loads(body)
    assert message.pop("id") == headers["webhook-id"] and message.pop("score") > 0.9
    assert message == {
        "device": "a7",
        "view": "porch",
        "state": "bright",
        "previous": "dark",
        "at": "2026-07-13T12:00:28.000+00:00",
        "model": "brightness",
        "model_version": "4",
    }
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert agent.status()["state"] == "bright" and agent.status()["actions"]["door"] == {
        "failure": None,
        "waiting": 0,
    }


def test_after_a_restart_the_same_state_is_no_change(with_model, clock):
    agent = with_model()
    agent.parts.camera.grey = 250
    take_frames(agent, clock, 6)
    first = agent.parts.actions.state
    agent.parts.store.close()
    again = type(agent)(agent.parts.settings, clock, agent.parts.camera)
    take_frames(again, clock, 6)
    assert (first.state, again.parts.actions.state.id) == ("bright", first.id)


def test_a_state_from_a_copied_card_is_of_this_device(with_model, clock):
    agent = with_model()
    take_frames(agent, clock, 6)
    agent.parts.store.close()
    copied = dataclasses.replace(agent.parts.settings, device="b9", view="yard")
    state = type(agent)(copied, clock, agent.parts.camera).parts.actions.state
    assert (state.device, state.view) == ("b9", "yard")


def test_a_score_below_the_releases_abstention_threshold_is_unsure(tmp_path, clock):
    place_model(tmp_path / "store" / "models" / "brightness", abstention=0.9)
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    for grey, expected in ((250, "bright"), (130, "unsure"), (10, "dark")):
        agent.parts.camera.grey = grey
        take_frames(agent, clock, 6)
        assert agent.status()["state"] == expected
    assert agent.parts.actions.state.previous == "unsure"


def test_a_refused_change_is_sent_again_until_it_is_accepted(webhook):
    with receiver() as server:
        server.answers = [500, None, 401, 302, 204]
        door = webhook(f"http://127.0.0.1:{server.server_port}/")
        for number in range(3):
            door.observe(state(number), True, b"")
        server.wait_for(3)
        end = time.monotonic() + 5
        while door.waiting() and time.monotonic() < end:
            time.sleep(0.01)
    assert server.states == ["0", "1", "2"] and server.attempts == 7
    assert door.failure is None and door.waiting() == 0


def test_a_server_that_is_away_delays_nothing_and_gets_the_newest_changes(webhook):
    with receiver() as server:
        port = server.server_port
    door = webhook(f"http://127.0.0.1:{port}/secret-path")
    begin = time.perf_counter()
    for number in range(2000):
        door.observe(state(number), number % 2 == 0, b"")
    assert time.perf_counter() - begin < 5
    assert (door.waiting(), door.dropped) == (MAX_WAITING, 1000 - MAX_WAITING)
    end = time.monotonic() + 5
    while door.failure is None and time.monotonic() < end:
        time.sleep(0.01)
    assert door.failure == f"http://127.0.0.1:{port} cannot be reached: NewConnectionError"
    with receiver(port) as server:
        server.wait_for(MAX_WAITING)
        if server.states[-1] != "1998":  # one was being sent while newer ones came
            server.wait_for(MAX_WAITING + 1)
    assert server.states[-MAX_WAITING:] == [str(number) for number in range(1800, 2000, 2)]


def test_a_server_that_answers_a_byte_now_and_then_is_given_up_in_time(webhook, monkeypatch):
    """Each byte would begin a socket's timeout again."""
    monkeypatch.setattr("edge.actions.webhook.REQUEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        address = f"http://127.0.0.1:{slow.getsockname()[1]}"
        door = webhook(f"{address}/")
        door.observe(state(1), True, b"")
        connection, _ = slow.accept()
        begin = time.monotonic()
        with connection, suppress(OSError):
            for byte in b"HTTP/1.1 204 No Content\r\nX: " + b"y" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
                if door.failure:
                    break
    assert door.failure == f"{address} does not answer within 0.5 s"
    assert time.monotonic() - begin < 5 and door.waiting() == 1


@pytest.mark.parametrize(
    ("in_environment", "in_file", "mode", "error"),
    [
        ("whsec_" + SECRET, None, 0, None),
        ("", SECRET + "\n", 0o600, None),
        ("", None, 0, "secret of actions.door is missing: set ACTIONS_DOOR_SECRET"),
        ("short", None, 0, "is no base64 of 24 bytes or more"),
        (SECRET[:20], None, 0, "is no base64 of 24 bytes or more"),
        (f"{SECRET}é", None, 0, "is no base64 of 24 bytes or more"),
        ("", SECRET, 0o644, "others may read the secret .*: chmod 600 "),
    ],
)
def test_the_secret(tmp_path, monkeypatch, in_environment, in_file, mode, error):
    monkeypatch.setenv("ACTIONS_DOOR_SECRET", in_environment)
    path = tmp_path / "secret"
    if in_file:
        path.write_text(in_file)
        path.chmod(mode)
    settings = ActionSettings("webhook", "http://hub", str(path) if in_file else "")
    if error is None:
        assert Webhook("door", settings, "a7", dict)._secret == bytes(range(32))
        return
    with pytest.raises(UserError, match=error) as raised:
        Webhook("door", settings, "a7", dict)
    assert "\n" not in str(raised.value) and (
        not in_environment or in_environment not in str(raised.value)
    )


def test_a_check_sends_nothing(webhook):
    with receiver() as server:
        door = webhook(f"http://127.0.0.1:{server.server_port}/")
        assert door.check() == f"http://127.0.0.1:{server.server_port} answers"
    assert server.attempts == 0
    for unreachable in (door, webhook("http://hub..local/")):
        with pytest.raises(ActionError, match="cannot be reached"):
            unreachable.check()
