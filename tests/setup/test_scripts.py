"""The messages of the set-up on a bare machine, and when an environment counts as finished."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
TOOLS = ["bash", "cat", "cut", "dirname", "env", "grep", "head", "id"]
TOOLS += ["mkdir", "nice", "paste", "rm", "sed", "setsid", "sha256sum"]
TOOLS += ["sleep", "sort", "uname"]


@pytest.fixture
def bare(tmp_path):
    """A checkout's scripts, and a machine with nothing but the shell's own tools."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name))
    checkout = tmp_path / "check out"
    shutil.copytree(TOP / "setup", checkout / "setup")
    for name in ("conda.yaml", "requirements.lock", "requirements-gpu.lock"):
        shutil.copy(TOP / name, checkout / name)
    (checkout / "edge").mkdir()
    (checkout / "edge" / "requirements.txt").write_text("numpy\n")
    return checkout


def run(checkout: Path, script: str, **environment) -> subprocess.CompletedProcess:
    home = checkout.parent
    return subprocess.run(
        [str(checkout / "setup" / script)],
        cwd=checkout,
        env={"PATH": str(home / "bin"), "HOME": str(home)} | environment,
        capture_output=True,
        text=True,
    )


def add(checkout: Path, name: str, body: str) -> None:
    program = checkout.parent / "bin" / name
    program.unlink(missing_ok=True)  # a link: what it points at belongs to this machine
    program.write_text(f"#!{shutil.which('bash')}\n{body}\n")
    program.chmod(0o755)


def java(release: str) -> str:
    return f"echo 'openjdk version \"{release}\" 2025-01-01' >&2"


def test_a_bare_machine_gets_one_line_of_what_is_missing(bare):
    result = run(bare, "machine.sh")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    for word in ("Java 17 or 21", "C++ compiler", "Python 3", "`make setup`"):
        assert word in result.stderr


def test_a_user_without_sudo_gets_the_command(bare):
    add(bare, "id", "echo 1000")
    add(bare, "apt-get", "exit 1")
    add(bare, "apt-cache", "exit 0")
    result = run(bare, "machine.sh")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    packages = "openjdk-17-jre-headless g++ make python3-venv"
    assert (
        "`sudo apt-get update && sudo apt-get install -y --no-install-recommends "
        f"{packages} && make setup`"
    ) in result.stderr


@pytest.mark.parametrize(("user", "said"), [("0", "qemu-user-static"), ("1000", "needs root")])
def test_one_line_says_why_the_emulated_systems_cannot_be_built(bare, user, said):
    add(bare, "id", f"echo {user}")
    result = run(bare, "emulation.sh")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


def test_missing_packages_are_installed_with_sudo(bare):
    with_uv(bare)
    with_wheel(bare)
    add(bare, "id", "echo 0")
    add(bare, "apt-cache", "[[ $2 == openjdk-21-* ]]")
    installs_java = f"echo {shlex.quote(java('21.0.4'))} > $HOME/bin/java"
    installs_java += "; /bin/chmod +x $HOME/bin/java"
    add(
        bare, "apt-get", f'echo "$@" >> "$HOME/calls"; [[ $1 == update ]] || {{ {installs_java}; }}'
    )
    result = run(bare, "machine.sh")
    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1)
    update, install = calls(bare)
    assert update.startswith("update") and install.endswith("openjdk-21-jre-headless")


@pytest.mark.parametrize(
    ("release", "fits"),
    [("17.0.12", True), ("21.0.4", True), ("11.0.2", False), ("1.8.0_402", False), ("25", False)],
)
def test_only_java_17_and_21_fit(bare, release, fits):
    add(bare, "java", java(release))
    assert ("Java" not in run(bare, "machine.sh").stderr) == fits


def test_another_java_home_is_named_as_the_reason(bare, tmp_path):
    add(bare, "java", java("11.0.2"))
    result = run(bare, "machine.sh", JAVA_HOME=str(tmp_path))
    assert result.returncode == 1 and "JAVA_HOME" in result.stderr


def test_with_a_compiled_horovod_no_compiler_is_needed(bare):
    add(bare, "java", java("17.0.12"))
    with_uv(bare)
    assert "compiler" in run(bare, "machine.sh").stderr
    with_wheel(bare)
    assert run(bare, "machine.sh").returncode == 0


def with_uv(checkout: Path, sync: str = ":") -> None:
    """A stand-in that makes an environment, writes down what it was called for, and can fail."""
    add(
        checkout,
        "uv",
        f"""
echo "$1 ${{2:-}}" >> "$HOME/calls"
case "$1" in
    --version) echo "uv 99.0.0" ;;
    venv) [[ ! -e "${{!#}}" ]] || exit 2 # nor does the real one without --clear
          mkdir -p "${{!#}}/bin"
          cat < /dev/null > "${{!#}}/bin/python"; /bin/chmod +x "${{!#}}/bin/python" ;;
    pip) [[ ${{!#}} != - ]] || cat > "$HOME/locked"; {sync} ;;
esac
""",
    )


def with_wheel(checkout: Path, python: str = "3.11") -> None:
    pinned = (checkout / "conda.yaml").read_text()
    version = {
        name: pinned.split(f"- {name}==")[1].split()[0] for name in ("tensorflow-cpu", "horovod")
    }
    folder = checkout.parent / ".cache/lakehouse-vision/wheels"
    folder = folder / f"tensorflow-cpu-{version['tensorflow-cpu']}"
    folder.mkdir(parents=True, exist_ok=True)
    tag = f"cp{python.replace('.', '')}"
    (folder / f"horovod-{version['horovod']}-{tag}-{tag}-linux_{os.uname().machine}.whl").touch()


def calls(checkout: Path) -> list[str]:
    log = checkout.parent / "calls"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.strip() for line in lines if "--version" not in line]


@pytest.fixture
def made(bare):
    """Both environments, finished."""
    with_uv(bare)
    with_wheel(bare)
    assert run(bare, "environments.sh").returncode == 0
    assert calls(bare) == ["venv --quiet", "pip sync", "venv --quiet", "pip install"]
    return bare


def test_a_second_set_up_does_nothing(made):
    result = run(made, "environments.sh")
    assert (result.returncode, result.stderr, calls(made)) == (0, "", [])


def test_another_lock_changes_the_packages_only(made):
    with (made / "requirements.lock").open("a") as lock:
        lock.write("extra==1\n")
    run(made, "environments.sh")
    assert calls(made) == ["pip sync"]


def test_another_tensorflow_takes_the_horovod_that_was_compiled_against_it(made):
    pins = made / "conda.yaml"
    pins.write_text(pins.read_text().replace("tensorflow-cpu==2", "tensorflow-cpu==3"))
    with_wheel(made)
    run(made, "environments.sh")
    assert calls(made)[:2] == ["venv --quiet", "pip sync"]


def test_a_moved_checkout_is_set_up_again(made, tmp_path):
    moved = made.rename(tmp_path / "elsewhere")
    run(moved, "environments.sh")
    assert calls(moved) == ["venv --quiet", "pip sync", "venv --quiet", "pip install"]


def test_an_interrupted_set_up_does_not_count_as_finished(made):
    with (made / "requirements.lock").open("a") as lock:
        lock.write("extra==1\n")
    with_uv(made, sync="exit 1")
    assert run(made, "environments.sh").returncode != 0
    calls(made)

    with_uv(made)
    assert run(made, "environments.sh").returncode == 0
    assert calls(made) == ["venv --quiet", "pip sync"]


def with_python(checkout: Path, name: str, version: str) -> None:
    add(checkout, name, f"echo {version}")


def chosen_python(checkout: Path, **environment) -> str:
    """Which Python the scripts take: what they look for when they look for a wheel."""
    script = checkout / "setup" / "chosen.sh"
    script.write_text("#!/usr/bin/env bash\nsource setup/versions.sh\necho $PYTHON\n")
    script.chmod(0o755)
    return run(checkout, script.name, **environment).stdout.strip()


@pytest.mark.parametrize(
    ("pythons", "asked", "chosen"),
    [
        ({"python3": "3.11"}, "", "3.11"),
        ({"python3": "3.12"}, "", "3.12"),
        ({"python3": "3.13", "python3.12": "3.12"}, "", "3.12"),
        ({"python3": "3.12", "python3.11": "3.11"}, "", "3.12"),
        ({"python3": "3.12"}, "3.11", "3.11"),
        ({"python3": "3.12"}, "3.11.7", "3.11"),
        ({"python3": "3.12"}, "3.13", "3.12"),
        ({"python3": "3.13"}, "", "3.11"),  # of conda.yaml: uv fetches it
        ({}, "", "3.11"),
    ],
)
def test_the_python_that_is_there_is_taken(bare, pythons, asked, chosen):
    for name, version in pythons.items():
        with_python(bare, name, version)
    assert chosen_python(bare, UV_PYTHON=asked) == chosen


def test_an_environment_keeps_its_python(made):
    with_python(made, "python3", "3.12")
    with_python(made, "../check out/.venv/bin/python", "3.11")
    assert run(made, "environments.sh").returncode == 0
    assert calls(made) == []
    with_wheel(made, python="3.12")
    assert run(made, "environments.sh", UV_PYTHON="3.12").returncode == 0
    assert calls(made) == ["venv --quiet", "pip sync", "venv --quiet", "pip install"]


def test_without_a_python_and_a_way_to_fetch_one_a_line_says_so(bare):
    with_wheel(bare)
    with_uv(bare)
    uv = bare.parent / "bin" / "uv"
    uv.write_text(uv.read_text().replace("venv) ", "venv) exit 2; "))
    result = run(bare, "environments.sh")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("setup: Python 3.11 is missing")


def test_a_gpu_is_chosen_once(made):
    assert run(made, "environments.sh", GPU="1").returncode == 0
    assert calls(made) == ["pip sync"]
    locked = (made.parent / "locked").read_text()
    assert "\ntensorflow==" in locked and "nvidia-cudnn-cu12==" in locked
    assert "tensorflow-cpu==" not in locked and "\nhorovod==" in locked
    run(made, "environments.sh")
    assert calls(made) == [], "GPU=1 need not be repeated"
    run(made, "environments.sh", GPU="0")
    assert "tensorflow-cpu==" in (made.parent / "locked").read_text()


def test_a_gpu_is_remembered_by_an_interrupted_set_up(bare):
    with_uv(bare)
    for where in ("horovod", "new packages", "other packages"):
        if where == "other packages":
            with (bare / "requirements.lock").open("a") as lock:
                lock.write("extra==1\n")
        if where != "horovod":  # which is compiled here, or fails for want of a compiler
            with_wheel(bare)
            with_uv(bare, sync="exit 1")
        first = {"GPU": "1"} if where == "horovod" else {}
        assert run(bare, "environments.sh", **first).returncode != 0
        if where != "horovod":
            with_uv(bare)
            assert run(bare, "environments.sh").returncode == 0
            assert "\ntensorflow==" in (bare.parent / "locked").read_text(), where
            assert not (bare / ".venv" / "unfinished").exists()


def with_horovod(checkout: Path, body: str) -> None:
    """A stand-in that compiles Horovod."""
    script = checkout / "setup" / "horovod.sh"
    script.write_text(f"#!{shutil.which('bash')}\nset -e\n{body}\n")


def test_horovod_is_compiled_beside_everything_else(bare):
    pinned = (bare / "conda.yaml").read_text().split("- horovod==")[1].split()[0]
    with_uv(bare, sync='grep ^horovod "$HOME/locked" >> "$HOME/calls" || :')
    uv = bare.parent / "bin" / "uv"
    noting = """echo '[[ $1 == -c ]] || echo "$2" >> "$HOME/calls"'"""
    uv.write_text(uv.read_text().replace("cat < /dev/null", noting))
    waiting = 'until grep -q class_archive "$HOME/calls"; do sleep 0.01; done'
    with_horovod(bare, f'echo begun >> "$HOME/calls"; echo; {waiting}; echo compiled >&2')
    result = run(bare, "environments.sh")
    assert result.returncode == 0
    prepared = ["steps.lake.jars", "steps.lake.class_archive"]
    assert calls(bare) == [
        *("begun", "venv --quiet", "pip sync", "venv --quiet", "pip install", *prepared),
        *("pip sync", f"horovod=={pinned}", *prepared),
    ]
    assert result.stderr.splitlines()[-2:] == ["setup: .venv: waiting for Horovod", "compiled"]


@pytest.mark.parametrize("starts", ["exit 1", "echo compiling; exit 1"])
def test_without_a_horovod_no_environment_is_finished(bare, starts):
    with_uv(bare)
    with_horovod(bare, starts)
    assert run(bare, "environments.sh").returncode != 0
    assert (bare / ".venv" / "unfinished").exists() and not (bare / ".venv" / "made-from").exists()


def test_what_fails_beside_a_compilation_ends_it(bare):
    with_uv(bare, sync="exit 1")
    with_horovod(bare, 'trap "echo ended >&2" EXIT; echo compiling; sleep 100')
    result = run(bare, "environments.sh")  # returns once all that write to its output have ended
    assert result.returncode != 0 and result.stderr.splitlines()[-1] == "ended"


def test_the_patch_of_a_python_is_asked_for(bare):
    with_uv(bare)
    with_wheel(bare)
    uv = bare.parent / "bin" / "uv"
    uv.write_text(uv.read_text().replace('echo "$1 ${2:-}"', 'echo "$*"'))
    assert run(bare, "environments.sh", UV_PYTHON="3.11.7").returncode == 0
    assert "--python 3.11.7 .venv" in calls(bare)[0]
