"""The pipeline on nine hosts with addresses and disks of their own; each step loses one of them.

A step either ends well, or with a line that says why, and the next call completes it.
"""

import contextlib
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosts
import pytest
from cluster_site import PROFILE, Site
from devices import land, start_agent, status, wait_until
from hosts import Host, Network
from interruption import Cut, run_and_cut, without_java
from processes import stop
from services import PROJECT, SERVERS, WORKERS, cluster

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

CUTS = int(os.environ.get("CUTS", "1"))
"""How often the pipeline is run, with a host disconnected in each step."""

DEVICES = ("device-1", "device-2", "device-3")
SERVER_NAMES = ("store", "master", "mlflow", "worker-1", "worker-2")
IMAGES = 96
COMPACT = "tuning.space.network.choices=[compact]"
"""The network that Horovod trains in whole, and that costs two cores the least."""
EPOCHS = 4
TRAIN = {"epochs": EPOCHS}
TABLE = [
    Cut("ingest", "worker-1", at_work=True, parameters={"max_files_per_batch": 48}),
    Cut("tune", "worker-2", "trial 1", at_work=True, parameters={"trials": 4, "epochs": 1}),
    Cut("train", "worker-1", logged="loss", parameters=TRAIN),
    Cut("train", "worker-2", logged="loss", seconds=45, parameters=TRAIN),  # Gloo waits for 30
    Cut("train", "worker-1", logged="loss", seconds=math.inf, parameters=TRAIN),
    Cut("register", "mlflow", moved=100_000),
    Cut("promote", "store", moved=100_000),
    Cut("export", "mlflow", moved=500_000),
    Cut("score", "worker-1", at_work=True),
    Cut("device", "mlflow", moved=200_000),
]


def resolve_own_name(host: Host, address: str = "") -> None:
    """Let a host's own name lead to its address on the network, or to another one."""
    known = host.file(Path("/etc/hosts"))
    others = [line for line in known.read_text().splitlines() if host.name not in line.split()]
    known.write_text("\n".join([*others, f"{address or host.address} {host.name}\n"]))


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """The hosts. Servers and workers have no code of the project, devices none of the steps."""
    if not SERVERS.is_dir():
        pytest.skip("no .venv-cluster here: `make cluster` builds it and runs these tests")
    if why := hosts.obstacle():
        pytest.skip(why)
    steps, edge, data = (PROJECT / name for name in ("steps", "edge", "data"))
    data.mkdir(exist_ok=True)
    private = {name: [steps, edge] for name in SERVER_NAMES}
    private |= {name: [steps] for name in DEVICES} | {"driver": [data]}
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with hosts.network(home, [*SERVER_NAMES, "driver", *DEVICES], private) as made:
            yield made


@pytest.fixture(scope="module")
def site(network: Network) -> Iterator[Site]:
    """The cluster on these hosts, its user on the driver."""
    driver = network.hosts["driver"]
    for number in range(WORKERS):
        resolve_own_name(network.hosts[f"worker-{number + 1}"])
    own, jars = driver.file(network.home / ".cache/lakehouse-vision"), "jars"
    own.mkdir(parents=True)
    (own / jars).symlink_to(Path.home() / ".cache/lakehouse-vision" / jars)
    with (
        driver.network(),
        cluster(network.home, network.hosts) as running,
        pytest.MonkeyPatch.context() as m,
    ):
        names = {f"//{host.address}:": f"//{host.name}:" for host in network.hosts.values()}
        for variable, value in running.environment().items():
            address = next((part for part in names if part in value), "")
            m.setenv(variable, value.replace(address, names.get(address, "")))
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            m.delenv(variable, raising=False)
        yield Site(running, network.home, driver)


def check(site: Site, cut: Cut, before: set[str]) -> None:
    """Nothing is lost, nothing is doubled, nothing seems to run.

    Args:
        site: the cluster.
        cut: what was done.
        before: the IDs of the step's runs that there were already.
    """
    runs = site.runs(cut.step)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    newest = runs[0]
    assert newest.info.status == "FINISHED"
    finished = [run for run in runs if run.info.status == "FINISHED"]
    if cut.step == "ingest":
        metrics = newest.data.metrics
        assert (metrics["images"], metrics["quarantined"]) == (IMAGES, 0)
    if cut.step == "tune":
        trials = [run.info.status for run in site.runs("trial")]
        assert "RUNNING" not in trials and trials.count("FINISHED") >= 4
    if cut.step == "train":
        history = site.client.get_metric_history(newest.info.run_id, "loss")
        epochs = [metric.step for metric in history]
        assert len(set(epochs)) == len(epochs) and max(epochs) == EPOCHS - 1
    if cut.step in ("register", "export"):
        released = cut.step == "export"
        names = (version.name for version in site.client.search_model_versions())
        assert sum(name.endswith("-onnx") == released for name in names) == len(finished)
    if cut.step == "score":
        new = [run for run in finished if run.info.run_id not in before]
        assert sum(run.data.metrics.get("scored", 0) for run in new) == IMAGES


@pytest.mark.parametrize("cut", TABLE, ids=lambda cut: f"{cut.step}-{cut.host}-{cut.seconds:g}")
@pytest.mark.parametrize("number", range(CUTS))
def test_the_step_ends_well_or_is_completed_by_the_next_call(site, network, cut, number):
    source, given = f"package{number}", {}
    if cut.step == "ingest":
        given = {"source": f"s3a://vision/{source}"}
        for day, name in enumerate(DEVICES):
            land(site, network.hosts[name], IMAGES // len(DEVICES), 1 + 2 * day, source)
    given["override"] = COMPACT
    before = {run.info.run_id for run in site.runs(cut.step)}
    ended = run_and_cut(site, network, cut, **given)
    print(f"{cut.step}: {cut.host} away for {cut.seconds} s; {ended.code}, {ended.seconds:.0f} s")
    if ended.code:
        print(ended.said[-4000:])
        assert "Traceback" not in ended.said
        resumed = dict(re.findall(r"-P (resume_run_id)=(\w+)", ended.said))
        assert resumed or cut.step != "train"
        site.run(cut.step, **cut.parameters, **given, **resumed)
    check(site, cut, before)


def test_a_worker_whose_name_leads_to_itself_is_named(site, network):
    """As Debian's installer writes it. Gloo would crash, after half a minute."""
    worker = network.hosts["worker-2"]
    resolve_own_name(worker, "127.0.1.1")
    log = site.home / "unreachable.log"
    try:
        process = site.start("train", log, override=COMPACT, **TRAIN)
        assert process.wait(timeout=900) == 1
    finally:
        resolve_own_name(worker)
    said = without_java(log)
    assert "in /etc/hosts of each worker, give its name its address" in said
    assert "Traceback" not in said


@contextlib.contextmanager
def agents(site: Site, devices: list[Host], period: int) -> Iterator[None]:
    """The agents of some devices, which take an image every few seconds, or none."""
    started = [start_agent(site, device, "package0-onnx", period) for device in devices]
    try:
        yield
    finally:
        for process in started:
            stop(process)


@contextlib.contextmanager
def disconnected(network: Network, devices: list[Host]) -> Iterator[None]:
    """Some devices without network for eight seconds."""
    for device in devices:
        network.disconnect(device)
    try:
        yield
        time.sleep(8)
    finally:
        for device in devices:
            network.reconnect(device)


def test_devices_that_are_disconnected_send_every_image_once(site, network):
    """Each is, in the middle of its first download of the model, and while it sends images."""
    site.cluster.call(
        site.cluster.trainer,
        "3.0/mlflow/users/permissions/grant",
        username=site.cluster.camera.name, permission="READ",
        resource_type="registered_model", resource_id="package0-onnx",
    ).raise_for_status()  # fmt: skip
    devices = [network.hosts[name] for name in DEVICES]
    before = {device: device.moved() for device in devices}
    with agents(site, devices, period=1):
        waiting = set(devices)
        while waiting:
            pulling = {one for one in waiting if one.moved() - before[one] > 50_000}
            for device in pulling:
                network.disconnect(device)
            waiting -= pulling
            time.sleep(0.01)
        with disconnected(network, devices):
            assert not any(status(device).get("release") for device in devices)
        wait_until("scores", devices, lambda now: now and now["label"])
        with disconnected(network, devices):
            pass
        kept = {device: sum(status(device)["kept"].values()) for device in devices}
        made = min(status(device)["results"]["results"] for device in devices)
    with agents(site, devices, period=0):  # which goes on to score
        wait_until("everything sent", devices, lambda now: now and not _is_unsent(now, made))
        counts = {device: status(device)["counts"] for device in devices}
    print([(device.name, kept[device], counts[device]) for device in devices])
    site.run("ingest", source="s3a://vision/seen")
    assert all(counts[device]["sent"] >= kept[device] > 5 for device in devices)
    assert all(set(count) == {"sent"} for count in counts.values())  # nothing lost or dropped
    metrics = site.runs("ingest")[0].data.metrics
    sent = sum(count["sent"] for count in counts.values())
    assert (metrics["images"], metrics["quarantined"]) == (sent, 0)
    rows, frames = device_results(network.hosts["driver"])
    assert rows == frames >= len(devices) * made


def _is_unsent(now: dict[str, Any], made: int) -> bool:
    """Whether images wait, or some of the results that a device had made."""
    results = now["results"]
    return bool(now["queue"]["images"]) or results["results"] - results["unsent"] < made


def device_results(driver: Host) -> list[int]:
    """How many rows of `scores` devices have sent, and of how many frames.

    They are read on the driver: a process keeps the address of the first store that it has read.
    """
    code = f"PYTHONPATH={PROJECT}"
    program = Path(__file__).with_name("device_results.py")
    return json.loads(driver.run("env", code, sys.executable, program, PROFILE))
