"""The installer, into a temporary folder: install, run, upgrade, remove."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import pytest
import requests

from edge.protocol.version import project_version

INSTALL = Path("edge/install/install.sh").resolve()
UNIT = Path("edge/install/lakehouse-vision.service")
COMMAND = Path("edge/install/edge-agent")
SECONDS = 60
ADDED = "toolz"
"""A small package that the agent does not need."""

EXPOSURE = 2.5
"""By systemd-analyze: a service without restrictions has 9.6, one below 3 counts as good."""


def places(home: Path) -> list[str]:
    return [
        *("--prefix", str(home / "opt"), "--config", str(home / "etc")),
        *("--state", str(home / "var"), "--no-systemd"),
    ]


def install(home: Path, *options: str, **kwargs) -> subprocess.CompletedProcess:
    command = [str(INSTALL), *places(home), "--python", sys.executable, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **kwargs)


def filled_in(template: Path, home: Path) -> Path:
    text = template.read_text()
    for name, value in {
        "PREFIX": home / "opt",
        "CONFIG": home / "etc",
        "STATE": home / "var",
        "USER": "daemon",
    }.items():
        text = text.replace(f"@{name}@", str(value))
    path = home / template.name
    path.write_text(text)
    return path


def unit(home: Path) -> Path:
    return filled_in(UNIT, home)


@pytest.mark.slow
def test_installed_it_runs_is_upgraded_and_removed(tmp_path):
    done = install(tmp_path, "--camera", "simulated", umask=0o077)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/agent.toml").stat().st_mode & 0o044 == 0o044, "status needs no sudo"
    program = [str(tmp_path / "opt/bin/edge-agent")]
    config = tmp_path / "etc/agent.toml"
    assert (tmp_path / "etc/environment").stat().st_mode & 0o077 == 0
    # the clock of the machine that runs this may not be synced
    config.write_text(f"trust_clock = true\n{config.read_text()}[page]\nport = 0\n")
    _runs(program, config, tmp_path)
    seen = subprocess.run(
        [*program, "--version"], capture_output=True, text=True, cwd=INSTALL.parent
    )
    assert seen.stdout == f"edge-agent {project_version()}\n"
    models = str(tmp_path / "none/package-onnx")
    done = subprocess.run([*program, "score", "--models", models], capture_output=True, text=True)
    assert f"no model in {models}: edge-agent pull --server URL " in done.stderr

    # numpy is the one that the given Python has
    code = "import numpy, sys; print(numpy.__version__, 'mlflow' in sys.modules)"
    python = str(tmp_path / "opt/venv/bin/python3")
    seen = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout
    assert seen.split() == [numpy.__version__, "False"]

    # the environment works in its place, and a package can be added to it
    pip = [str(tmp_path / "opt/venv/bin/pip"), "install", "--quiet", ADDED]
    assert subprocess.run(pip, capture_output=True).returncode == 0
    activate = f". {tmp_path}/opt/venv/bin/activate && pip --version && echo $VIRTUAL_ENV"
    seen = subprocess.run(["bash", "-c", activate], capture_output=True, text=True).stdout
    assert f"from {tmp_path}/opt/venv/lib" in seen and seen.endswith(f"{tmp_path}/opt/venv\n")

    marked = config.read_text() + "# mine\n"
    config.write_text(marked)
    (installed,) = (tmp_path / "opt/venv").glob("lib/python*/site-packages/edge")
    (installed / "left_over.py").touch()
    files = {path.relative_to(installed) for path in installed.rglob("*.py")}
    done = install(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"keeps what was added: {ADDED}\n" in done.stderr
    subprocess.run([python, "-c", f"import {ADDED}"], check=True)
    assert config.read_text() == marked and not (installed / "left_over.py").exists()
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == files - {
        Path("left_over.py")
    }
    assert list(installed.rglob("*.pyc")), "the service may not write there"
    assert not (tmp_path / "opt.old").exists() and not (tmp_path / "opt.new").exists()
    _runs(program, config, tmp_path)

    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(unit(tmp_path))], capture_output=True, text=True
        )
        assert checked.returncode == 0 and not checked.stderr.strip(), checked.stderr

    assert install(tmp_path, "--uninstall").returncode == 0
    assert not (tmp_path / "opt").exists()
    assert config.exists() and list((tmp_path / "var/landing").glob("*.jpg"))
    assert install(tmp_path, "--uninstall", "--purge").returncode == 0
    assert not (tmp_path / "etc").exists() and not (tmp_path / "var").exists()


def _runs(program: list[str], config: Path, home: Path) -> None:
    """Run the installed agent outside this checkout until it has sent an image."""
    log = home / "log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with log.open("wb") as file:
        agent = subprocess.Popen(
            [*program, "run", "--config", str(config)], cwd="/", env=environment, stderr=file
        )
    try:
        before = len(list((home / "var/landing").glob("*.jpg")))
        end = time.monotonic() + SECONDS
        while len(list((home / "var/landing").glob("*.jpg"))) == before:
            assert agent.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        page = re.search(r"its page: (\S+)", log.read_text())[1]
        assert json.loads(requests.get(f"{page}/health", timeout=5).text)["healthy"]
    finally:
        agent.terminate()
        assert agent.wait(30) == 0


@pytest.mark.slow
def test_a_failed_upgrade_keeps_the_installed_program(tmp_path):
    edge = tmp_path / "copy" / "edge"
    shutil.copytree(INSTALL.parents[1], edge)
    (edge / "requirements.txt").write_text("no-such-package-of-anyone==0\n")
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/installed").write_text("before")
    command = [str(edge / "install/install.sh"), *places(tmp_path), "--python", sys.executable]
    command += ["--camera", "simulated"]
    environment = os.environ | {"PIP_NO_INDEX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode != 0 and (tmp_path / "opt/installed").read_text() == "before"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--python", "/bin/false"], "is not Python 3.11 to 3.13"),
        (["--nonsense"], "unknown option --nonsense"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--prefix"], "--prefix needs a value"),
        (["--state", "var"], "has to be an absolute path"),
    ],
)
def test_an_option_that_cannot_work_is_one_line(tmp_path, options, message):
    done = install(tmp_path, *options)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "opt").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT PROVEN HERE: only root may mount")
def test_purging_removes_what_it_says_and_nothing_that_is_mounted(tmp_path):
    """The landing folder is gone, and the models are left; then a share is mounted there."""
    var, etc = tmp_path / "var", tmp_path / "etc"
    for folder in (etc, var / "models", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    (etc / "environment").write_text("MLFLOW_TRACKING_PASSWORD=secret\n")
    done = install(tmp_path, "--uninstall", "--purge")
    assert done.returncode == 0 and "still there" not in done.stderr
    assert not etc.exists() and not var.exists()
    (var / "landing").mkdir(parents=True)
    etc.mkdir()
    (etc / "agent.toml").write_text(f'[store]\nfolder = "{tmp_path}/elsewhere"\n')
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(var / "landing")]).returncode:
        pytest.skip("NOT PROVEN HERE: nothing can be mounted")
    try:
        (var / "landing/of-others.jpg").touch()
        done = install(tmp_path, "--uninstall", "--purge")
        assert (var / "landing/of-others.jpg").exists() and done.returncode == 0
    finally:
        subprocess.run(["umount", str(var / "landing")], check=True)
    for left in (var, tmp_path / "elsewhere"):
        assert f"still there, remove it yourself if it is not needed: {left}\n" in done.stderr


def test_uninstalling_removes_only_the_installed_program(tmp_path):
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/others").touch()
    assert install(tmp_path, "--uninstall", "--purge").returncode == 0
    assert (tmp_path / "opt/others").exists()


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT PROVEN HERE: no systemd-analyze"
)
def test_the_service_has_few_rights(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit(tmp_path))],
        capture_output=True,
        text=True,
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure and float(exposure[1]) < EXPOSURE, done.stdout


def test_a_self_test_without_memory_ends_only_itself(tmp_path):
    """systemd's default would stop the service with any process that the kernel ends."""
    lines = unit(tmp_path).read_text().splitlines()
    assert any(line.startswith("MemoryMax=") for line in lines) and "OOMPolicy=continue" in lines


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT PROVEN HERE: no systemd-analyze"
)
def test_a_further_camera_has_a_service_with_settings_of_its_own(tmp_path):
    script = INSTALL.read_text()
    (change,) = re.findall(r"sed '(\S+)' \"\$units/\$name\.service\"", script)
    (tmp_path / "opt/bin").mkdir(parents=True)
    (tmp_path / "opt/bin/edge-agent").touch(0o755)
    made = subprocess.run(["sed", change, str(unit(tmp_path))], capture_output=True, text=True)
    assert f"edge-agent run --config {tmp_path}/etc/%i.toml\n" in made.stdout
    template = tmp_path / "lakehouse-vision@porch.service"
    template.write_text(made.stdout)
    command = ["systemd-analyze", "verify", str(template)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr.strip(), checked.stderr


@pytest.fixture
def open_home():
    """A folder that every user may enter, like /opt and /var; pytest's own are closed."""
    home = Path(tempfile.mkdtemp(prefix="edge-install-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT PROVEN HERE: only root may be another user")
@pytest.mark.parametrize(
    ("command", "owner"), [("pull", "daemon"), ("retry", "daemon"), ("status", "root")]
)
def test_root_pulls_as_the_owner_of_the_state(open_home, command, owner):
    (open_home / "var").mkdir()
    shutil.chown(open_home / "var", "daemon")
    python = open_home / "opt/venv/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$(stat -c %U /proc/$$) $EDGE_PROGRAM $PYTHONPATH $*"\n')
    python.chmod(0o755)
    program = ["sh", str(filled_in(COMMAND, open_home)), command, "--again", "a b"]
    environment = os.environ | {"PYTHONPATH": "/of/others"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.stdout == (f"{owner} edge-agent  -P -m edge {command} --again a b\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT PROVEN HERE: only root may be another user")
def test_the_doctor_has_the_rights_and_the_environment_of_the_service(open_home):
    for folder in ("var", "etc", "opt/venv/bin"):
        (open_home / folder).mkdir(parents=True)
    shutil.chown(open_home / "var", "daemon", "daemon")
    environment = open_home / "etc/environment"
    environment.write_text('#A=0\nA_SECRET=a$b\\tc==\nA_USER="me"')
    environment.chmod(0o600)
    python = open_home / "opt/venv/bin/python3"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$(id -un): $(id -Gn): $A_SECRET $A_USER $*"\n')
    python.chmod(0o755)
    program = ["sh", str(filled_in(COMMAND, open_home)), "doctor"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.stdout == "daemon: daemon video: a$b\\tc== me -P -m edge doctor\n", done.stderr
