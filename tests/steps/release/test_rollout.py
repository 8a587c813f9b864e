"""Rollouts in a real registry, over a thousand simulated devices that poll it."""

import random
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from edge.protocol.release import RELEASE_TAG, Release
from edge.protocol.rollout import ROLLOUT_TAG, Rollout, failed_here
from steps.errors import RunStep, UserError
from steps.evaluation.canary import HOUR, Action, DeviceReport, Stage
from steps.ingestion.tables import DEVICES, SCORES
from steps.registry import versions
from steps.release.rollback import point_alias, release_again
from steps.release.rollout import advance, read_reports
from steps.release.statement import release_version

NAME, RELEASED = "package", "package-onnx"


@pytest.fixture
def registry(store, tmp_path) -> MlflowClient:
    """Version 1 is the champion with release 1; version 2 is the canary with release 2."""
    client, files = MlflowClient(), [tmp_path / "model.onnx", tmp_path / "record.json"]
    for file in files:
        file.write_bytes(b"x")
    for model in (NAME, RELEASED):
        client.create_registered_model(model)
    for number, alias in (("1", "champion"), ("2", "canary")):
        for model in (NAME, RELEASED):
            client.create_model_version(model, source="file:///nowhere")
            client.set_registered_model_alias(model, alias, number)
        client.set_model_version_tag(NAME, number, versions.ONNX_VERSION, number)
        client.set_model_version_tag(RELEASED, number, versions.KERAS_MODEL, NAME)
        client.set_model_version_tag(RELEASED, number, versions.KERAS_VERSION, number)
        release_version(RELEASED, number, files)
    return client


class Fleet:
    """Devices that follow the registry by the real rules, and report.

    One in a hundred fails with every new release; what they see differs from device to device.
    """

    def __init__(self, client: MlflowClient, count: int = 1000, bad: str = ""):
        self.client, self.bad, chance = client, bad, random.Random(0)
        self.names = [f"pi-{number}" for number in range(count)]
        self.seen = {name: chance.betavariate(1, 3) for name in self.names}
        self.faulty = {name for name in self.names if chance.random() < 0.01}
        self.runs = dict.fromkeys(self.names, 1)  # the release
        self.highest = dict.fromkeys(self.names, 1)
        self.failed: dict[str, set[int]] = {name: set() for name in self.names}
        self.version = {1: "1"}  # of a release
        self.reached: set[str] = set()

    def poll(self) -> None:
        champion, canary = (
            self.client.get_model_version_by_alias(RELEASED, alias)
            for alias in ("champion", "canary")
        )
        rollout = Rollout.parse(champion.tags.get(ROLLOUT_TAG))
        for name in self.names:
            wanted = [champion]
            is_named = rollout and rollout.version == str(canary.version)
            if is_named and rollout.includes(name, RELEASED):
                wanted = [canary, champion]
            for version in wanted:
                release = Release.parse(version.tags[RELEASE_TAG])
                self.version[release.release] = release.version
                if release.release == self.runs[name]:
                    break
                if release.release not in self.failed[name]:
                    release.require_newer(self.highest[name])
                    self._install(name, release.release, release.version)
                    break

    def _install(self, name: str, release: int, version: str) -> None:
        self.highest[name] = release
        if version == "2":
            self.reached.add(name)
        if version == "2" and (name in self.faulty or self.bad == "crashes"):
            self.failed[name].add(release)
        else:
            self.runs[name] = release

    def reports(self, names, champion: str, canary: str, stage: Stage) -> list[DeviceReport]:
        assert (names, champion, canary) == ((NAME, RELEASED), "1", "2")
        return [self._report(name, stage.since + HOUR) for name in self.names]

    def _report(self, name: str, now: datetime) -> DeviceReport:
        ones = round(100 * self.seen[name])
        counts = {"0": 100 - ones, "1": ones}
        is_canary = self.version[self.runs[name]] == "2"
        if is_canary and self.bad == "unsure":
            counts = {"0": 40, "unsure": 60}
        elif is_canary and self.bad == "blind":
            counts = {"1": 100}
        failure = "; ".join(failed_here(n, "it crashes") for n in self.failed[name]) or None
        answers = {"canary": counts} if is_canary else {"champion": counts}
        return DeviceReport(name, self.runs[name], False, failure, now, **answers)


def roll_out(fleet: Fleet, stages: list[float]) -> list[Action]:
    """Advance as a timer would, until the rollout ends; return what was done."""
    done = []
    for _ in range(12):
        ending = advance(RELEASED, stages, "r" * 32, [], fleet.reports)
        done.append(ending.action)
        fleet.poll()
        if ending.share in (0.0, 1.0) and ROLLOUT_TAG not in tags(fleet.client):
            break
    return done


def tags(client: MlflowClient) -> dict[str, str]:
    return client.get_model_version_by_alias(RELEASED, "champion").tags


@pytest.mark.parametrize("bad", ["crashes", "unsure", "blind"])
@pytest.mark.parametrize("first", [0.01, 0.05, 0.2])
def test_a_bad_release_reaches_its_first_share_and_is_taken_back(registry, bad, first):
    fleet = Fleet(registry, bad=bad)
    stage = Rollout("2", first, "")
    assert roll_out(fleet, [first, 0.5, 1.0]) == [Action.WIDEN, Action.TAKE_BACK]
    assert fleet.reached == {name for name in fleet.names if stage.includes(name, RELEASED)}
    assert 0.5 * first < len(fleet.reached) / 1000 < 1.5 * first
    assert {fleet.version[release] for release in fleet.runs.values()} == {"1"}
    for model in (NAME, RELEASED):
        for alias in ("champion", "canary"):
            assert str(registry.get_model_version_by_alias(model, alias).version) == "1"
    assert "taken back" in registry.get_model_version(NAME, "2").tags[versions.WITHDRAWN]
    assert versions.WITHDRAWN not in registry.get_model_version(NAME, "1").tags
    require_nothing_to_do(fleet, "1")


@pytest.mark.parametrize("stages", [[0.01, 0.05, 0.2, 1.0], [0.2, 1.0]])
def test_a_good_release_reaches_all_devices_by_itself(registry, stages):
    fleet = Fleet(registry)
    done = roll_out(fleet, stages)
    assert done == [Action.WIDEN] * (len(stages) + 1)
    assert fleet.reached == set(fleet.names)
    for model in (NAME, RELEASED):
        assert str(registry.get_model_version_by_alias(model, "champion").version) == "2"
    ran = [name for name in fleet.names if fleet.version[fleet.runs[name]] == "2"]
    assert set(fleet.names) - set(ran) == fleet.faulty
    assert ROLLOUT_TAG not in tags(registry)
    require_nothing_to_do(fleet, "2")


def require_nothing_to_do(fleet: Fleet, version: str) -> None:
    """The timer goes on, and ends well."""
    ending = advance(RELEASED, [0.2, 1.0], "r" * 32, [], fleet.reports)
    line = f"package {version} is canary and champion: nothing to roll out"
    assert (ending.action, ending.share, ending.line) == (Action.WAIT, 1.0, line)
    assert ROLLOUT_TAG not in tags(fleet.client)


def test_a_version_that_was_rolled_back_by_hand_is_not_rolled_out_again(registry):
    fleet = Fleet(registry)
    roll_out(fleet, [1.0])
    first = registry.get_model_version(NAME, "1")
    point_alias(first, "champion", "r" * 32, "it misses parcels", [])
    fleet.poll()
    assert {fleet.version[release] for release in fleet.runs.values()} == {"1"}
    with pytest.raises(UserError) as raised:
        advance(RELEASED, [1.0], "r" * 32, [], fleet.reports)
    why = "package 2 was withdrawn (it misses parcels): name another canary"
    assert str(raised.value).startswith(why)
    assert raised.value.fix == RunStep("promote", {"version": "1", "alias": "canary"})
    assert ROLLOUT_TAG not in tags(registry)
    point_alias(first, "canary", "r" * 32, "as the error says", [])
    require_nothing_to_do(fleet, "1")


def test_a_stage_without_reports_waits(registry):
    fleet = Fleet(registry)
    fleet.poll = lambda: None
    assert roll_out(fleet, [0.2, 1.0])[:4] == [Action.WIDEN, *[Action.WAIT] * 3]
    assert not fleet.reached


def test_a_champion_that_was_released_again_does_not_stop_the_rollout(registry):
    """Devices take no release that is older than one that they have had."""
    fleet = Fleet(registry)
    assert release_again(registry.get_model_version(RELEASED, "1"), []) == 3
    fleet.poll()
    assert set(fleet.runs.values()) == {3}
    assert roll_out(fleet, [0.2, 1.0]) == [Action.WIDEN] * 3
    assert fleet.reached == set(fleet.names)


def test_another_canary_begins_at_the_first_stage(registry, tmp_path):
    fleet = Fleet(registry)
    advance(RELEASED, [0.2, 1.0], "r" * 32, [], fleet.reports)
    stage = Rollout("5", 0.9, datetime.now(UTC).isoformat()).text()
    registry.set_model_version_tag(RELEASED, "1", ROLLOUT_TAG, stage)
    ending = advance(RELEASED, [0.2, 1.0], "r" * 32, [], fleet.reports)
    assert ending.share == 0.2 and ending.line == "package 2 goes to 20% of the devices"


def test_without_a_canary_there_is_no_rollout(registry):
    registry.delete_registered_model_alias(RELEASED, "canary")
    with pytest.raises(UserError, match="names no version: name one first"):
        advance(RELEASED, [1.0], "r" * 32, [], lambda *_: [])


ROWS = """
SELECT '' AS path, concat(device, answer) AS sha256, 'package' AS model,
    if(device < 100, '2', '1') AS model_version, if(answer % 4 = 0, 'unsure', '0') AS label,
    0.9D AS score, 1D AS latency_ms, CAST(NULL AS STRING) AS reason,
    if(answer = 23, 'spark', concat('edge:pi-', device)) AS scored_by,
    now() - if(answer = 21, INTERVAL 150 MINUTES, INTERVAL 1 HOUR) AS scored_at,
    '' AS score_run_id, map('0', 0.9D) AS probabilities
FROM (SELECT id div 24 AS device, id % 24 AS answer FROM range(24000))
"""


@pytest.mark.slow
def test_the_reports_of_a_thousand_devices_come_from_the_tables(lake, tmp_path):
    profile, now = lake.fresh(tmp_path), datetime.now(UTC)
    spark, since = lake.spark, now - 1.5 * HOUR
    stage = Stage(RELEASED, 8, Rollout("2", 0.5, since.isoformat()))
    assert read_reports(profile, lambda: spark, (NAME, RELEASED), "1", "2", stage) == []
    devices = DEVICES.open(spark, profile).toDF()
    failure = failed_here(8, "it crashes")
    rows = [
        {
            "device_id": f"pi-{number}",
            "reported_at": now,
            "model": RELEASED if number == 999 else "other" if number == 998 else NAME,
            "release": 8 if number < 100 else 7,
            "on_probation": number == 5,
            "model_failure": failure if number == 7 else None,
        }
        for number in range(1000)
    ]
    values = [tuple(row.get(name) for name in devices.columns) for row in rows]
    spark.createDataFrame(values, devices.schema).write.format("delta").mode("append").save(
        DEVICES.path(profile)
    )
    SCORES.open(spark, profile)
    spark.sql(ROWS).write.format("delta").mode("append").save(SCORES.path(profile))
    reports = read_reports(profile, lambda: spark, (NAME, RELEASED), "1", "2", stage)
    assert len(reports) == 999
    by_name = {report.device: report for report in reports}
    assert by_name["pi-7"].failure == failure and by_name["pi-5"].on_probation
    assert (by_name["pi-99"].release, by_name["pi-100"].release) == (8, 7)
    assert by_name["pi-99"].reported_at == now
    counts = {"unsure": 6, "0": 16}  # neither the old answer nor Spark's
    assert (by_name["pi-99"].champion, by_name["pi-99"].canary) == ({}, counts)
    assert (by_name["pi-100"].champion, by_name["pi-100"].canary) == (counts, {})
