"""A new camera is a file and a line in ``CAMERAS``: command line and agent need nothing else."""

import numpy as np
import pytest
from agent_fakes import landed, send_all, settings
from one_more_camera import GreyCamera
from PIL import Image

from edge.agent.agent import Agent
from edge.agent.settings import CaptureSettings, Settings
from edge.cameras.camera import Camera
from edge.cameras.kinds import CAMERAS, camera_class, usage
from edge.cli.main import main
from edge.files.settings_file import SettingsError

CONFIG = 'device = "a7"\n[landing]\nurl = "{}"\n[camera]\nkind = "grey"\nsource = "{}"\n'


@pytest.fixture
def grey(monkeypatch):
    monkeypatch.setitem(CAMERAS, "grey", "one_more_camera:GreyCamera")


@pytest.mark.parametrize("kind", CAMERAS)
def test_every_line_of_the_table_names_a_camera(kind):
    assert issubclass(camera_class(kind), Camera) and camera_class(kind).description
    assert usage(kind).startswith(kind)


def test_one_line_brings_a_camera_to_the_command_line(grey, tmp_path, capsys):
    command = ["capture", "--to", str(tmp_path / "landing"), "--camera", "grey:77"]
    assert main([*command, "--period", "0.001"]) == 0
    (path,) = (tmp_path / "landing").iterdir()  # both frames have the same time
    with Image.open(path) as image:
        assert image.size == (640, 480) and np.asarray(image).mean() == 77
    assert main(["capture", "--to", str(tmp_path / "landing"), "--camera", "grey:x"]) == 1
    assert "name a shade from 0 to 255" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["capture", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "grey:SHADE (a shade of grey from 0 to 255)" in shown and "grey 2" in shown


def test_one_line_brings_a_camera_to_the_agent(grey, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(tmp_path / "landing", 77) + "size = [64, 32]\n")
    camera = Settings.read(config).camera
    capture = CaptureSettings(period_seconds=60)
    agent = Agent(settings(tmp_path, camera=camera, capture=capture, trust_clock=True))
    assert isinstance(agent.parts.camera, GreyCamera)
    agent.parts.watcher.take_frame()
    send_all(agent)
    (name,) = landed(tmp_path)
    with Image.open(tmp_path / "landing" / name) as image:
        assert image.size == (64, 32) and np.asarray(image).mean() == 77


def test_the_agents_settings_are_checked_against_the_table(grey, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(tmp_path, 300))
    with pytest.raises(SettingsError, match="camera.source .* '300': name a shade"):
        Settings.read(config)
    config.write_text(CONFIG.format(tmp_path, 77).replace('"grey"', '"gray"'))
    with pytest.raises(SettingsError, match="it must be one of picamera2, .*, grey"):
        Settings.read(config)
