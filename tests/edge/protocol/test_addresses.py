"""No address is shown with who asks and with which password."""

import pytest
from agent_fakes import agent_of, send_all

from edge.agent.settings import CaptureSettings, LandingSettings, ModelSettings, Settings
from edge.cameras.camera import CameraSettings
from edge.cameras.kinds import make_camera
from edge.cli.main import main
from edge.inference.errors import UserError
from edge.protocol.addresses import shown_address, without_userinfo
from edge.update.errors import RegistryError
from edge.update.server import Server

CLOSED = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host:5000/x", "https://host:5000/x"),
        ("https://token@host", "https://host"),
        ("rtsp://me:p@ss#?@camera/1", "rtsp://camera/1"),
        (
            "no one at https://me:pw@a, nor at http://b:1/c",
            "no one at https://a, nor at http://b:1/c",
        ),
        ("https://host/path@2", "https://host/path@2"),
        ("me@host is no address", "me@host is no address"),
        ("", ""),
    ],
)
def test_the_rest_of_an_address_stays(text, shown):
    assert without_userinfo(text) == shown


MALFORMED = (
    *("http://me:secret/x@host", "http://me:/secret@host", "http://me:a secret@host"),
    *("http:/me:secret@host", "me:secret@host", "me:a@secret/x y@host", "//me:secret@host"),
    *("HTTP://secret@host", "a\nme:secret@host", "http://secret?#@host", "secret/@host"),
)


@pytest.mark.parametrize("address", MALFORMED)
def test_of_a_malformed_address_no_more_is_shown_than_its_host(address):
    assert shown_address(address).lower() in ("host", "http://host")
    said = without_userinfo(f"no file system of {address}/folder: no port 'secret'", address)
    assert "secret" not in said and "host/folder: no port" in said


@pytest.mark.parametrize("address", ["", "/mnt/lake", "0", "s3://bucket/folder", "rtsp://porch/1"])
def test_an_address_without_a_user_is_shown_as_it_is(address):
    assert shown_address(address) == address
    assert without_userinfo("me: no answer", address) == "me: no answer"


@pytest.mark.parametrize(
    "address",
    [
        *(f"http://me:secret@{CLOSED}", "https://me:secret@[x", "no://me:secret@host"),
        *("http://me:secret/x@host", "http:/me:secret@host", "me:secret@host"),
    ],
)
def test_a_server_that_cannot_be_asked_is_named_without(address):
    with pytest.raises(RegistryError) as error:
        Server(address).get("/x", {"name": "m"}).__enter__()
    assert "secret" not in str(error.value) and "server" in str(error.value)


@pytest.mark.parametrize(
    ("camera", "server"),
    [
        *(('kind = "picamera2"\nsource = "{}"', "http://host"), ('kind = "{}"', "http://host")),
        ('kind = "simulated"', "{}"),
    ],
)
def test_settings_that_are_refused_show_none(tmp_path, camera, server):
    path, address = tmp_path / "agent.toml", "me:secret/x@host"
    text = f'device = "a7"\nlanding.url = "/"\n[model]\nname = "m"\nserver = "{server}"\n'
    path.write_text(f"{text}[camera]\n{camera}\n".format(address))
    with pytest.raises(UserError, match="is 'host': ") as error:
        Settings.read(path)
    assert "secret" not in str(error.value)


def test_a_source_of_another_kind_of_camera_is_shown_without():
    with pytest.raises(UserError, match="^'rtsp://host' is not a source of picamera2"):
        make_camera(CameraSettings("picamera2", "rtsp://me:secret/x@host"))


@pytest.mark.parametrize(
    "url", ["ftp://me:secret/x@host", "sftp:/me:secret@host", "no://secret @host"]
)
def test_a_landing_zone_that_cannot_be_written_to_is_shown_without(tmp_path, url):
    agent = agent_of(
        tmp_path, capture=CaptureSettings(period_seconds=1), landing=LandingSettings(url)
    )
    agent.parts.watcher.take_frame()
    send_all(agent)
    failure = agent.status()["landing_failure"]
    assert "secret" not in failure and "host" in failure


def test_the_devices_state_has_none(tmp_path):
    agent = agent_of(
        tmp_path,
        model=ModelSettings(f"http://me:secret@{CLOSED}", "brightness"),
        capture=CaptureSettings(period_seconds=1),
        landing=LandingSettings("nosuch://me:secret@host/zone"),
    )
    agent.parts.watcher.take_frame()
    send_all(agent)
    agent.parts.follower.work()
    said = agent.status()
    assert CLOSED in said["model_failure"] and "nosuch://host/zone" in said["landing_failure"]
    assert "secret" not in str(said)


def test_a_stores_own_words_are_shown_without(tmp_path, monkeypatch):
    agent = agent_of(tmp_path, capture=CaptureSettings(period_seconds=1))

    def refuses(*arguments):
        raise ConnectionError("cannot connect to sftp://me:secret@host")

    monkeypatch.setattr(agent.sender.landing, "put", refuses)
    agent.parts.watcher.take_frame()
    send_all(agent)
    assert agent.status()["landing_failure"] == "cannot connect to sftp://host"


def test_the_command_line_shows_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{CLOSED}")
    (tmp_path / "a.jpg").touch()
    assert main(["predict", "--server", f"http://me:secret@{CLOSED}", str(tmp_path / "a.jpg")])
    assert main(["pull", "--model", "m", "--into", str(tmp_path)]) == 1
    with pytest.raises(SystemExit):
        main(["pull", "--help"])
    said = capsys.readouterr()
    assert "at http://127.0.0.1:9" in said.err
    assert "me:secret@" not in said.out + said.err
