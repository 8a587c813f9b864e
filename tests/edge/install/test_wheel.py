"""The wheel of the device's code, as pip and the installer build it, here and on an emulated Pi."""

import ensurepip
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from systems import ARM64, lacks, on_arm64

from edge.protocol.version import project_version

EDGE = Path(__file__).parents[3] / "edge"
NAME = f"lakehouse_vision_edge-{project_version()}-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-B", str(EDGE / "install/edge_wheel.py"), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert built.stdout == f"{NAME}\n"
    return folder / NAME


def pip() -> str:
    """The pip that Python brings along, which a zip file can be run from."""
    (bundled,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    return f"{bundled}/pip"


def test_it_has_the_files_of_the_folder_and_says_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
        about = message_from_bytes(
            content.read(f"lakehouse_vision_edge-{project_version()}.dist-info/METADATA")
        )
        installer = content.getinfo("edge/install/install.sh")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=EDGE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert names == {f"edge/{name}" for name in tracked.stdout.split()} - {"edge/pyproject.toml"}
    assert installer.external_attr >> 16 == 0o755
    assert about["Version"] == project_version()
    assert "numpy>=1.24,<3" in about.get_all("Requires-Dist")


@pytest.mark.slow
def test_pip_builds_the_same_wheel_and_leaves_nothing_beside_the_source(wheel, tmp_path):
    before = {path for path in EDGE.rglob("*") if "__pycache__" not in path.parts}
    command = [sys.executable, pip(), "wheel", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", tmp_path, EDGE], cwd="/", check=True)
    assert (tmp_path / NAME).read_bytes() == wheel.read_bytes()
    assert {path for path in EDGE.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.slow
@pytest.mark.skipif(lacks(ARM64) is not None, reason=lacks(ARM64) or "")
def test_an_emulated_pi_builds_the_same_bytes_installs_them_and_runs_them(wheel, tmp_path):
    built = on_arm64("-B", str(EDGE / "install/edge_wheel.py"), str(tmp_path), seconds=60)
    assert (built.stdout, built.stderr) == (f"{NAME}\n", "")
    assert (tmp_path / NAME).read_bytes() == wheel.read_bytes()

    # with its requirements: they have to be there, since there is no index
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-compile"]
    done = on_arm64(
        *install,
        "--prefix",
        str(tmp_path / "prefix"),
        str(tmp_path / NAME),
        seconds=240,
        PYTHONPATH=str(Path(pip()).parent),
    )
    assert done.returncode == 0, done.stderr
    (package,) = (tmp_path / "prefix").rglob("edge/__init__.py")
    site = {"PYTHONPATH": str(package.parents[1])}
    code = "import edge.agent.agent, edge.preview.server; from edge.cli.main import main; main()"
    run = on_arm64("-P", "-c", code, "--version", seconds=120, **site)
    assert run.stdout == f"python -m edge {project_version()}\n", run.stderr
