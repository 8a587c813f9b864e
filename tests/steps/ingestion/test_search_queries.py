"""The commands of docs/search.md and docs/device.md, run as they are."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from drawing import encoded, file_name
from PIL import Image, ImageFilter

from steps.errors import RunStep, UserError
from steps.ingestion.labels import merge_labels
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import DEVICES, IMAGES, view_tables
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.settings.profile import PROJECT

SEARCH = (PROJECT / "docs" / "search.md").read_text(encoding="utf-8")
DEVICE = (PROJECT / "docs" / "device.md").read_text(encoding="utf-8")
SIZE = (320, 240)
DARK = file_name(day=13, hour=23)
BRIGHT = file_name(day=14, hour=2, minute=1)
BLURRED = file_name(day=14, hour=2, minute=2)
RELABELLED = file_name(day=14, hour=2, minute=3)
PLAIN = [file_name(day=14, hour=2, minute=minute) for minute in range(4, 8)]


def noise(seed: int) -> Image.Image:
    """An image with detail everywhere, as a sharp photograph has it."""
    values = np.random.default_rng(seed).integers(0, 200, (SIZE[1], SIZE[0], 3), np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, whose tables are then where the profile ``local`` says."""
    home = tmp_path_factory.mktemp("search") / "project"
    for name in ("edge", "profiles", "steps"):
        shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    return home


@pytest.fixture(scope="module")
def filled(lake, project):
    """The profile, once there is something to find."""
    zone, profile = project / "landing", lake.fresh(project / "data")
    zone.mkdir()
    noisy = {name: noise(seed) for seed, name in enumerate([*PLAIN, RELABELLED])}
    noisy[DARK] = noise(51).point(lambda value: value // 8)
    noisy[BRIGHT] = noise(52).point(lambda value: min(255, value * 3))
    noisy[BLURRED] = noise(53).filter(ImageFilter.GaussianBlur(9))
    for name, image in noisy.items():
        (zone / name).write_bytes(encoded(image))
    landing = list_landing_zone(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name)
    ingest_files(lambda: lake.spark, profile, landing.files, rules, Limits(100, 10**9))
    labels = project / "labels.csv"
    labels.write_text(f"file_name,label\n{RELABELLED},1\n")
    merge_labels(lake.spark, profile, landing.source, str(labels), "file_name")
    now = datetime.now(UTC)
    said = {
        "healthy": (True, now, []),
        "unhealthy": (False, now, []),
        "silent": (True, now - timedelta(hours=2), []),
        "weak": (True, now, ["under-voltage"]),
    }
    columns = ("device_id", "healthy", "reported_at", "throttling")
    schema = DEVICES.open(lake.spark, profile).toDF().schema
    rows = [dict(zip(columns, (device, *row), strict=True)) for device, row in said.items()]
    devices = [tuple(row.get(name) for name in schema.names) for row in rows]
    written = lake.spark.createDataFrame(devices, schema).write.format("delta").mode("append")
    written.save(DEVICES.path(profile))
    return profile


@pytest.fixture(scope="module")
def answers(lake, filled):
    """The rows that each query gives, by the heading it stands under."""
    assert view_tables(lake.spark, filled) == ["images", "quarantine", "labels", "devices"]
    typed = {"spark": lake.spark, "profile": filled, "IMAGES": IMAGES}
    found = {}
    sections = re.findall(r"^\*\*(.+?)\.\*\*(.*?)```sql\n(.+?)```", SEARCH, flags=re.M | re.S)
    for heading, words, query in sections:
        for beforehand in re.findall(r"`(IMAGES\.create_view\(.+?\))`", words):
            eval(beforehand, typed)
        found[heading] = lake.spark.sql(query).collect()
    return found


def names(rows) -> set[str]:
    return {row["path"].rpartition("/")[2] for row in rows}


@pytest.mark.slow
def test_dark_images_are_counted_by_device_and_hour(answers):
    assert [tuple(row) for row in answers["Dark images by device and hour"]] == [("1", 23, 1)]


@pytest.mark.slow
def test_overexposed_and_blurred_images_are_found(answers):
    assert names(answers["Overexposed images"]) == {BRIGHT}
    assert names(answers["Blurred images"]) == {BLURRED}


@pytest.mark.slow
def test_a_day_comes_in_order(answers):
    rows = answers["All images of a day"]
    assert names(rows) == {BRIGHT, BLURRED, RELABELLED, *PLAIN}
    assert [row["captured_at"] for row in rows] == sorted(row["captured_at"] for row in rows)


@pytest.mark.slow
def test_a_new_label_is_a_change_between_versions(answers):
    (change,) = answers["What changed between two versions"]
    assert (change["label_before"], change["label_now"]) == ("0", "1")
    assert names([change]) == {RELABELLED}


@pytest.mark.slow
def test_the_block_of_python_runs_in_the_projects_folder(filled, project):
    (block,) = re.findall(r"```python\n(.+?)```", SEARCH, flags=re.S)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", block]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\w+)\W+(\d+)\|\n", done.stdout) == [("0", "7"), ("1", "1")]


@pytest.mark.slow
def test_devices_that_need_attention_are_found(lake, filled):
    view_tables(lake.spark, filled)
    (query,) = re.findall(r"```sql\n(.+?)```", DEVICE, flags=re.S)
    rows = lake.spark.sql(query).collect()
    assert {row["device_id"] for row in rows} == {"unhealthy", "silent", "weak"}


@pytest.mark.slow
def test_a_lake_without_tables_names_the_step_that_creates_them(lake, tmp_path):
    with pytest.raises(UserError, match=r"has no tables yet: ingest") as caught:
        view_tables(lake.spark, lake.fresh(tmp_path))
    assert caught.value.fix == RunStep("ingest")


def test_every_column_is_explained():
    columns = re.findall(r"\b(\w+) [A-Z]{3}", IMAGES.columns)
    explained = re.findall(r"`(\w+)`", SEARCH.partition("## What the columns mean")[2])
    assert "ingest_run_id" in columns and set(columns) - set(explained) == set()
