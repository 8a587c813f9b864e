"""What a shell has set for other programs does not harm a step, or is answered in one line."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from steps.environment import FOREIGN_SPARK, prepare_environment, use_own_spark
from steps.errors import UserError
from steps.settings.profile import PROJECT

PROBE = Path(__file__).with_name("environment_probe.py")


@contextmanager
def server(answer: str) -> Iterator[tuple[str, list[str]]]:
    """A server with one answer; its address, and the requests that it got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        do_PUT = do_POST = do_CONNECT = do_GET  # noqa: N815 – the names that the server looks for

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_port}", requests
    finally:
        served.shutdown()
        served.server_close()


@pytest.fixture
def environment(monkeypatch) -> Iterator[dict[str, str]]:
    """The environment, put back after the test."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"KERAS_BACKEND": "torch"}, {"KERAS_BACKEND": "tensorflow"}),
        ({"PYTHONSTARTUP": "/x.py"}, {"PYTHONSTARTUP": None}),
        ({"PYTHONINSPECT": "1"}, {"PYTHONINSPECT": None}),
        ({"TF_USE_LEGACY_KERAS": "1"}, {"TF_USE_LEGACY_KERAS": None}),
        ({}, {"no_proxy": "localhost,127.0.0.1,::1", "NO_PROXY": "localhost,127.0.0.1,::1"}),
        ({"NO_PROXY": "lake"}, {"no_proxy": "lake,localhost,127.0.0.1,::1"}),
        ({"no_proxy": "*"}, {"NO_PROXY": "*,localhost,127.0.0.1,::1"}),
        ({"TMPDIR": "/nowhere"}, {"TMPDIR": "/tmp"}),
        ({"TF_CPP_MIN_LOG_LEVEL": "0"}, {"TF_CPP_MIN_LOG_LEVEL": "0"}),
        ({}, {"TF_CPP_MIN_LOG_LEVEL": "3"}),
    ],
)
def test_what_a_step_finds_in_its_environment(environment, given, expected):
    for name in ("no_proxy", "NO_PROXY", "TF_CPP_MIN_LOG_LEVEL", "TMPDIR"):
        environment.pop(name, None)
    environment.update(given)
    prepare_environment(verbose=False)
    assert {name: environment.get(name) for name in expected} == expected


@pytest.mark.parametrize("given", [None, "", '{"default_block_size": 5242880}'])
def test_what_s3_listed_is_not_remembered_since_others_write_there_too(environment, given):
    environment.pop("FSSPEC_S3", None)
    environment.update({"FSSPEC_S3": given} if given is not None else {})
    prepare_environment(verbose=False)
    assert given in (None, "") or json.loads(given).items() <= fsspec.config.conf["s3"].items()
    store = fsspec.filesystem("s3", anon=True, skip_instance_cache=True)
    store.dircache["bucket/folder"] = []
    assert "bucket/folder" not in store.dircache


@pytest.mark.parametrize("given", ['{"key": "se', "[1]", "7"])
def test_options_of_s3_that_are_no_object_are_one_line_without_them(environment, given):
    environment["FSSPEC_S3"] = given
    with pytest.raises(UserError, match="^FSSPEC_S3 is no JSON object: [^\n]*$") as caught:
        prepare_environment(verbose=False)
    assert given not in str(caught.value)


def test_another_spark_is_forgotten(environment):
    environment.update(dict.fromkeys(FOREIGN_SPARK, "other"))
    use_own_spark(here=True)
    assert not set(FOREIGN_SPARK) & set(environment)


PREPARE = "from steps.environment import prepare_environment as p; p(verbose=False)"
ONE_LINE = f"""
import os
from steps.errors import UserError
try:
    {PREPARE}
    print(os.environ["TMPDIR"], os.environ.get("LC_ALL"))
except UserError as error:
    print("refused:", error)
"""


def prepared(*before: str, script: str = "", **environment: str) -> str:
    """What a process prints that prepares its environment after a shell script in namespaces."""
    python = [sys.executable, "-c", ONE_LINE]
    command = [*before, "sh", "-ec", f'{script}\nexec "$@"', "sh", *python] if before else python
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True
    )
    if "/var/tmp" in script and PROJECT.is_relative_to("/tmp"):
        pytest.skip("NOT PROVEN HERE: the checkout is below /tmp, which is covered")
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"NOT PROVEN HERE: no namespace of its own ({done.stderr.strip()})")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_locale_that_has_no_umlauts():
    assert prepared(LC_ALL="C").endswith(" C.UTF-8")


MOUNTS = ("unshare", "--mount", "--map-root-user")


@pytest.mark.parametrize("options", ["size=1m", "size=500m,noexec"])
def test_a_temporary_folder_that_is_full_or_cannot_hold_programs(tmp_path, options):
    script = f"mount -t tmpfs -o {options} none {tmp_path}"
    assert prepared(*MOUNTS, script=script, TMPDIR=str(tmp_path)).startswith("/tmp ")


def test_no_usable_temporary_folder_is_one_line():
    script = "for folder in /tmp /var/tmp; do mount -t tmpfs -o size=1m none $folder; done"
    said = prepared(*MOUNTS, script=script, TMPDIR="/tmp")
    assert said.startswith(
        "refused: none of the folders for temporary files (/tmp, /tmp, /var/tmp)"
    )
    assert "100 MB free" in said and "TMPDIR" in said


def test_a_user_without_an_entry_is_one_line():
    said = prepared("unshare", "--user", "--map-user=54321")
    assert said.startswith("refused: the user ID 54321 has no entry in /etc/passwd")
    assert "echo 'user:x:54321:0::" in said


@pytest.mark.slow
def test_everything_at_once_reaches_neither_spark_nor_the_ranks(tmp_path):
    """One start for all: each of these alone ended a run, or sent its requests to the proxy."""
    home = tmp_path / "hö me"
    (home / ".keras").mkdir(parents=True)
    (home / ".cache").mkdir()
    (home / ".cache" / "lakehouse-vision").symlink_to(Path.home() / ".cache" / "lakehouse-vision")
    (home / ".keras" / "keras.json").write_text('{"image_data_format": "channels_first"}')
    (home / "startup.py").write_text("raise SystemExit('PYTHONSTARTUP was run')")
    lake = tmp_path / "Übung" / "a lake"
    with server("pong") as (address, _), server("proxy") as (proxy, seen):
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name}
        environment |= {
            "HOME": str(home),
            "LC_ALL": "C",
            "http_proxy": proxy,
            "HTTP_PROXY": proxy,
            "SPARK_HOME": "/opt/another-spark",
            "SPARK_CONF_DIR": "/opt/another-spark/conf",
            "PYSPARK_SUBMIT_ARGS": "--master yarn pyspark-shell",
            "KERAS_BACKEND": "torch",
            "PYTHONSTARTUP": str(home / "startup.py"),
            "MLFLOW_TRACKING_PASSWORD": "secret-value",
            **{f"LONG_{number}": "x" * 60_000 for number in range(3)},
        }
        environment.pop("KERAS_HOME", None)
        script = f'umask 077; hostname nowhere.invalid; exec "{sys.executable}" "$@"'
        command = ["unshare", "--uts", "--map-root-user", "sh", "-c", script, "sh"]
        done = subprocess.run(
            [*command, str(PROBE), str(lake), address],
            cwd=PROJECT,
            env=environment | {"PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"NOT PROVEN HERE: no host name of its own ({done.stderr.strip()})")
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    expected = {"sum": 2.0, "backend": "tensorflow", "layout": "channels_last", "answer": "pong"}
    expected |= {"secret on a command line": False, "long": 60_000, "polls": ""}
    assert found == {"doubled": 90, "ranks": [expected, expected]}
    assert seen == []


def test_a_process_beside_a_rank_does_not_run_the_main_module_again(tmp_path):
    main = tmp_path / "kneading.py"
    main.write_text(
        "from multiprocessing import get_context\n"
        "from steps.environment import ranks_inherit\n"
        "print('imported', flush=True)\n"
        "if __name__ == '__main__':\n"
        "    for block in (ranks_inherit(), None):\n"
        "        if block: block.__enter__()\n"
        "        process = get_context('spawn').Process(target=print)\n"
        "        process.start(); process.join()\n"
        "        print(process.exitcode, flush=True)\n"
        "        if block: block.__exit__(None, None, None)\n"
    )
    done = subprocess.run(
        [sys.executable, str(main)],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["imported", "0", "imported", "0"], done.stderr[-2000:]


def test_no_library_reports_its_use():
    """Each finds its switch when it is loaded, whatever a process imports first."""
    script = (
        "import os, sys, steps.export; assert {'mlflow', 'edge'} <= set(sys.modules);"
        "assert 'onnxruntime' not in sys.modules;"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    names = ("MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, cwd=PROJECT, env=environment) == b"true 1\n"
