"""What a device's step says of the frames that it scored, and what comes next."""

from types import SimpleNamespace

import pytest

from steps import device
from steps.errors import UserError
from steps.landing.place import normalize
from steps.pipeline.commands import Commands
from steps.settings.parameters import parse_parameters

OWN_NEXT = "-e device -P 'camera=folder:<folder of new images>'"


@pytest.mark.parametrize(
    ("source", "camera", "follows", "warned"),
    [
        (device.DRAWN, "simulated", "make run SOURCE=<folder", False),
        (device.DRAWN, "test-set", "make run SOURCE=<folder", False),
        ("photos", "simulated", OWN_NEXT, True),
        ("photos", "test-set", OWN_NEXT, False),
        ("photos", "folder:new", OWN_NEXT, False),
    ],
)
def test_a_drawn_porch_is_no_test_of_a_model_of_own_images(
    source, camera, follows, warned, capsys, caplog
):
    run = SimpleNamespace(commands=Commands("device", device.Parameters(camera=camera)))
    device._say_what_is_next(run, camera, normalize(source))
    assert follows in capsys.readouterr().out
    assert ("-e device -P camera=test-set" in caplog.text) == warned


def test_a_folder_counts_from_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = device.Parameters(camera="folder:new photos")
    arguments = device._camera_arguments(None, folder, None, tmp_path)
    assert arguments == ("--camera", f"folder:{tmp_path}/new photos")


@pytest.mark.parametrize(
    ("camera", "guess"),
    [
        ("", ""),
        ("folder:", "did you mean folder:? "),
        ("folder", "did you mean folder:? "),
        ("opencv:0", ""),
        ("test-set2", "did you mean test-set? "),
        ("simulatd", "did you mean simulated? "),
    ],
)
def test_a_camera_is_one_of_three(camera, guess):
    with pytest.raises(UserError) as raised:
        parse_parameters(device.Parameters, "device", [f"--camera={camera}"])
    assert str(raised.value) == (
        f"camera: {camera!r} is not a camera; {guess}pass simulated, test-set or folder:PATH; "
        "see: python -m steps.device --help"
    )
