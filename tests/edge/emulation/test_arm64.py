"""The device's code on the processor of a Raspberry Pi 4, which qemu emulates."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fingerprints import fingerprints
from images import generate, write_network
from systems import ARM64, PROJECT, lacks, on_arm64

REAL = PROJECT.parent / "shared" / "data" / "package-images" / "images"
SOME = (
    "inference protocol/test_signature.py::test_the_first_signed_release_pins_its_keys "
    "cli/test_pull.py::test_a_released_model_is_pulled_and_scores"
)
ONE_CRASH = "update/test_crashing_models.py::test_the_only_committed_release_stays"
MORE = os.environ.get("EMULATED", f"agent outbox {ONE_CRASH}")
"""What else runs there, among the proofs: the fast tests of these folders and files.

Each self-test of a release is a process of its own, which takes seconds there, so all crashes run
by `make prove` alone, and all of ``update`` and ``protocol`` only by
``EMULATED="agent outbox update protocol"``.
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lacks(ARM64) is not None, reason=lacks(ARM64) or ""),
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[dict, dict]:
    """The fingerprints of the same images and network, here and on the emulated processor."""
    folder = tmp_path_factory.mktemp("images")
    images = generate(folder)
    if REAL.is_dir():
        images += sorted(REAL.glob("*.jpg"))[::85]
    model = write_network(tmp_path_factory.mktemp("network"))
    program = str(Path(__file__).with_name("fingerprints.py"))
    emulated = on_arm64(program, str(model), *map(str, images), seconds=300)
    assert emulated.returncode == 0, emulated.stderr
    return fingerprints(model, images), json.loads(emulated.stdout)


def test_prepare_gives_the_same_bytes_on_both_processors(compared):
    here, there = compared
    assert (here["machine"], there["machine"]) == ("x86_64", "aarch64")
    assert len(here["prepared"]) > 200
    assert there["prepared"] == here["prepared"]


def test_scores_agree_on_both_processors(compared):
    here, there = (np.array(list(one["scores"].values())) for one in compared)
    assert here.std(axis=0).min() > 0.005
    np.testing.assert_allclose(there, here, atol=1e-5)


@pytest.mark.parametrize(
    "chosen", [SOME, pytest.param(MORE, marks=pytest.mark.proof)], ids=["some", "more"]
)
def test_the_tests_of_the_device_pass_there(mlflow_server, chosen):
    pytest_there = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "-ra"]
    pytest_there += ["--override-ini=addopts=--strict-markers --import-mode=importlib"]
    pytest_there += ["-m", "not slow and not proof"]
    tests = [f"tests/edge/{test}" for test in chosen.split()]
    done = on_arm64(*pytest_there, *tests, seconds=840, EDGE_TEST_SERVER=mlflow_server)
    print(done.stdout[-4000:], done.stderr[-2000:])
    assert done.returncode == 0
    assert " passed" in done.stdout
    # only some tests of all of ``update`` need what is not there
    assert "update" in chosen.split() or "skipped" not in done.stdout


def test_a_release_is_pulled_from_a_real_server_and_scores_there(registered, tmp_path):
    version = registered.publish()
    edge = ("-m", "edge")
    pulled = on_arm64(
        *(*edge, "pull", "--server", registered.server, "--model", registered.name),
        *("--into", str(tmp_path / "models")),
        seconds=120,
    )
    assert pulled.returncode == 0, pulled.stderr
    assert f"{registered.name} {version}, release 1" in pulled.stdout
    rows = tmp_path / "rows.json"
    scored = on_arm64(
        *(*edge, "score", "--models", str(tmp_path / "models" / registered.name)),
        *("--count", "3", "--json", str(rows)),
        seconds=120,
    )
    assert scored.returncode == 0, scored.stderr
    assert [row["version"] for row in json.loads(rows.read_text())] == [version] * 3
