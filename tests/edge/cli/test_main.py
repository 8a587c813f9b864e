import errno
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cameras.errors import CameraError
from edge.cli.main import main
from edge.protocol.version import project_version

MODULES = """
import importlib, pkgutil, sys, edge
names = [m.name for m in pkgutil.walk_packages(edge.__path__, "edge.") if "__main__" not in m.name]
for name in names:
    importlib.import_module(name)
print(*names)
heavy = {"tensorflow", "pyspark", "mlflow", "pandas", "steps", "picamera2"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_the_device_needs_no_training_environment():
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"edge.cli.pull", "edge.inference.scoring", "edge.cameras.simulated"} <= set(
        done.stdout.split()
    )


def test_a_capture_loads_no_runtime():
    code = (
        "import sys, edge.cli.main, edge.inference.scoring; sys.exit('onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_device_loads_what_it_uses():
    """Neither the simulated camera's drawing nor other file systems than a folder."""
    code = """
import sys
from edge.cameras.kinds import CAMERAS, usage
import edge.agent.agent, edge.cli.main, edge.preview.server

edge.cli.main._parser()
assert [*map(usage, CAMERAS)] and "edge.cameras.simulated" in sys.modules
edge.outbox.landing.Landing("/tmp").read("nothing")
sys.exit(bool({"edge.cameras.porch", "fsspec", "asyncio"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_version_is_that_of_the_project(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"python -m edge {project_version()}\n"


@pytest.mark.parametrize("command", [[], ["capture"], ["pull"], ["score"]])
def test_help_explains_every_option(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in {"": ["capture", "pull", "score"], "capture": ["minutes", "480", "UTC"]}.get(
        "".join(command), ["default"]
    ):
        assert word in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--count", "0"],
        ["--count", "-1"],
        ["--count", "x"],
        ["--period", "0"],
        ["--period", "soon"],
        ["--start", "today"],
        ["--seed", "-1"],
        ["--count", "²"],
        ["--count", "9" * 5000],
        ["--count", str(2**31)],
        ["--period", "1e-300"],
        ["--start", "1969-12-31"],
        ["--start", "1900-01-01T00:00:00"],
        ["--start", "9999-12-31T23:59:59"],
        ["--view", "front_door"],
        ["--view", "a/b"],
        ["--view", "a\nb"],
        ["--view", "x" * 65],
        ["--device", ""],
        ["--device", " "],
        ["--device", "ü" * 33],
    ],
)
def test_a_wrong_value_names_its_option(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["capture", "--to", "landing", *options])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {options[0]}" in said and "invalid" not in said


def test_debug_shows_the_trace(tmp_path):
    with pytest.raises(CameraError):
        main(["capture", "--to", str(tmp_path), "--camera", "none", "--debug"])


def test_a_folder_of_another_user_says_sudo(tmp_path, capsys, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["capture", "--to", str(tmp_path / "landing"), "--count", "1"]) == 1
    assert capsys.readouterr().err == (
        f"edge capture: this user may not access {tmp_path}/landing: put sudo before the command\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(tmp_path):
    command = [sys.executable, "-m", "edge", "capture", "--to", str(tmp_path), "--count", "1"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "edge capture: the output: No space left on device: delete something there\n",
    )
