"""Whole pipelines on machines that are in the way: each ends with a release and its answers.

`MACHINES=2 make prove ARGS="-k odd_machine"` runs the first two, which have all of it at once; 11
runs each by itself, too.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from steps.settings.profile import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.proof, pytest.mark.timeout(3600)]

IMAGES = 96
QUICK = {"input_size": 32, "tune_trials": 1, "tune_epochs": 1, "train_epochs": 1}
NAMESPACES = ("unshare", "--mount", "--uts", "--map-root-user")
CODE = ("MLproject", "conda.yaml", "requirements.lock", "profiles", "steps", "edge")


@dataclass(frozen=True)
class Machine:
    """What is odd about a machine.

    Attributes:
        script: what a shell does first, in namespaces of its own and in the folder of the pipeline.
        environment: what the shell of the user has set; {home} is that folder.
        home: its name.
        is_copied: whether the project and its environment are below it, too.
        launcher: of the training; Horovod cannot start ranks on a host without an address.
    """

    script: str
    environment: dict[str, str] = field(default_factory=dict)
    home: str = "home"
    is_copied: bool = False
    launcher: str = "horovod"


DEAD = "http://127.0.0.1:9"
"""Where nobody answers: what asks this proxy fails."""
TEMPORARY = {"TMPDIR": "{home}/temporary"}
PROXY = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"), DEAD)
PROXY |= dict.fromkeys(("no_proxy", "NO_PROXY"), "")
FULL = "mount -t tmpfs -o size=1m none temporary; yes 2>&- > temporary/full && exit 9; "
NO_PROGRAMS = "mount -t tmpfs -o size=900m,noexec none temporary; "
READ_ONLY = 'mount --bind "$HOME" "$HOME"; mount -o remount,bind,ro "$HOME"; '
READ_ONLY += 'touch "$HOME/x" 2>&- && exit 9; '
NAMELESS = "hostname nowhere.invalid; "
NUMBER = (
    "(cat /etc/passwd; echo user:x:54321:0::$HOME:/bin/sh) > passwd; "
    "mount --bind passwd /etc/passwd; "
    'set -- unshare --user --map-user=54321 "$@"; '
)
"""A user without an entry, and the entry that a step asks for."""

MACHINES = {
    "a full disk, a home to read, a proxy, private files, no umlauts, in spaces": Machine(
        FULL + READ_ONLY + "umask 077",
        TEMPORARY | PROXY | {"LC_ALL": "C"},
        home="Übung macht Meister",
        is_copied=True,
    ),
    "no host name, a user that is a number, no programs in TMPDIR": Machine(
        NAMELESS + NO_PROGRAMS + NUMBER, TEMPORARY, launcher="auto"
    ),
    "a home that cannot be written": Machine(READ_ONLY),
    "a full temporary folder": Machine(FULL, TEMPORARY),
    "a temporary folder that may hold no programs": Machine(NO_PROGRAMS, TEMPORARY),
    "files that only their owner may read": Machine("umask 077"),
    "all below spaces and umlauts": Machine("", TEMPORARY, "Übung macht Meister", is_copied=True),
    "a locale without umlauts": Machine("", {"LC_ALL": "C"}, "Übung"),
    "a proxy for all": Machine("", PROXY),
    "a host name that does not resolve": Machine(NAMELESS, launcher="auto"),
    "a user that is a number": Machine(NUMBER),
}
TRIED = int(os.environ.get("MACHINES", "0"))


def on(machine: Machine, command: list[str], home: Path, environment: dict[str, str]) -> str:
    """Run a command on a machine, to a good end; what it printed."""
    script = f'{machine.script}\nexec "$@"'
    own = {key: text.format(home=home) for key, text in machine.environment.items()}
    done = subprocess.run(
        [*NAMESPACES, "sh", "-ec", script, "sh", *command],
        cwd=home,
        env=environment | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    print(done.stdout)
    if done.returncode and "unshare:" in done.stdout:
        pytest.skip(f"NOT PROVEN HERE: no namespaces ({done.stdout.strip()})")
    assert done.returncode == 0 and "Traceback" not in done.stdout
    return done.stdout


@pytest.mark.skipif(not TRIED, reason="NOT PROVEN HERE: whole pipelines take MACHINES=1 or more")
@pytest.mark.parametrize("name", list(MACHINES)[: TRIED or None])
def test_a_pipeline_on_an_odd_machine_ends_with_answers(name, tmp_path, workshop_factory):
    machine = MACHINES[name]
    home = tmp_path / machine.home
    (home / "temporary").mkdir(parents=True)
    workshop = workshop_factory(home, min_accuracy=0.0)
    workshop.capture(home / "porch", IMAGES)
    project, python = PROJECT, Path(sys.prefix, "bin")
    if machine.is_copied:
        project, python = home / "the project", home / "the project" / ".venv" / "bin"
        copy_project(project)
    environment = workshop.environment()
    environment["PATH"] = os.pathsep.join([str(python), environment["PATH"]])
    run = ["mlflow", "run", str(project), "--env-manager", "local"]
    run += ["-P", f"profile={workshop.profile}"]
    flags = [word for key, value in QUICK.items() for word in ("-P", f"{key}={value}")]
    flags += ["-P", f"source={home}/porch", "-P", f"train_launcher={machine.launcher}"]
    said = on(machine, [*run, *flags], home, environment)
    assert "release 1" in said.rpartition("\nmain: ")[2].splitlines()[0]
    device = [*run, "-e", "device", "-P", "camera=test-set", "-P", f"models={home}/device"]
    assert re.search(r"^\S+ +[01] +[01] +[01]\.\d+ ", on(machine, device, home, environment), re.M)


def copy_project(to: Path) -> None:
    """Copy the code, and link the environments."""
    to.mkdir()
    for name in CODE:
        place = PROJECT / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, to / name)
    for name in (".venv", ".venv-edge"):
        (to / name).symlink_to(PROJECT / name)
