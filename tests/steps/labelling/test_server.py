"""What the server answers, and what it refuses."""

import csv
import io
import json
import resource
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import requests
from drawing import drawn, encoded, jpeg
from PIL import Image

from benchmarks.made_lake import frame_name, make_lake, write_table
from steps.errors import UserError
from steps.ingestion.label_rows import SCHEMA
from steps.ingestion.tables import LABELS
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.server import Server
from steps.labelling.sitting import Sitting
from steps.settings.profile import load_profile


@contextmanager
def serving(sitting):
    server = Server(sitting, 0)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(sitting):
    with serving(sitting) as server:
        yield server


def pressed(sitting, number: int, label: str | None = "1", **other) -> dict:
    sha256 = sitting.state.images.sha256[number].decode()
    ids = {"id": uuid.uuid4().hex, "action": uuid.uuid4().hex}
    return ids | {"sha256": sha256, "label": label, "how": "key"} | other


def post(server, *labels: dict, **options) -> requests.Response:
    return requests.post(f"{server.address}labels", json={"labels": labels}, timeout=10, **options)


def test_the_page_its_images_and_its_state(server, sitting):
    page = requests.get(server.address, timeout=5)
    assert page.status_code == 200 and "<title>Label images" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    state = requests.get(f"{server.address}state", timeout=5).json()
    assert (state["images"], state["unlabelled"], state["labeller"]) == (40, 40, "ann")
    first = requests.get(f"{server.address}next?count=1", timeout=5).json()["images"][0]
    image = requests.get(f"{server.address}image/{first['sha256']}", timeout=5)
    assert image.content == jpeg(0) and image.headers["Content-Type"] == "image/jpeg"
    assert "immutable" in image.headers["Cache-Control"]
    frames = requests.get(f"{server.address}timeline?device=porch&day=2026-07-13", timeout=5).json()
    assert len(frames["sha256"]) == len(frames["change"]) == 12


def test_labels_undo_and_done(server, sitting):
    answer = post(server, pressed(sitting, 0), pressed(sitting, 1, None, how="not sure")).json()
    assert (answer["unlabelled"], answer["unsure"], answer["given"]) == (38, 1, 2)
    about = requests.get(f"{server.address}image/{_sha(sitting, 0)}/about", timeout=5).json()
    assert (about["label"], about["labeller"]) == ("1", "ann")
    undone = requests.post(f"{server.address}undo", json={}, timeout=5).json()
    assert undone["undone"] == [_sha(sitting, 1)] and undone["unlabelled"] == 39
    assert not server.over.is_set()
    requests.post(f"{server.address}done", json={}, timeout=5)
    assert server.over.is_set()


def test_the_export_has_labels_that_no_table_has_yet(server, sitting):
    post(server, pressed(sitting, 0, "0"), pressed(sitting, 0, "1"), pressed(sitting, 1, None))
    table = requests.get(f"{server.address}labels.csv", timeout=5)
    assert "attachment; filename=labels.csv" in table.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["label"] for row in rows] == ["1", *[""] * 39]
    assert (rows[0]["labeller"], rows[0]["how"]) == ("ann", "key")
    tasks = requests.get(f"{server.address}labels.json", timeout=5).json()
    assert len(tasks) == 40 and tasks[0]["data"]["sha256"] == _sha(sitting, 0)


def test_a_newer_label_of_the_table_counts_in_the_export(server, sitting):
    post(server, pressed(sitting, 0, "old"), pressed(sitting, 1, "kept"))
    first, second = sitting.journal.rows
    merged = first._replace(id="f" * 32, label="new", labelled_at=datetime.now(UTC))
    before = second._replace(
        id="e" * 32, label="before", labelled_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    rows = [row._asdict() for row in (merged, before)]
    write_table(LABELS, sitting.profile, rows, SCHEMA)
    table = requests.get(f"{server.address}labels.csv", timeout=5)
    found = [row["label"] for row in csv.DictReader(io.StringIO(table.text))]
    assert found[:3] == ["new", "kept", ""]


@pytest.mark.parametrize("part", ["map", "regions", "classes"])
def test_the_scripts_of_the_page(server, part):
    script = requests.get(f"{server.address}{part}.js", timeout=5)
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert f'<script src="{part}.js">' in requests.get(server.address, timeout=5).text


def _sha(sitting, number):
    return sitting.state.images.sha256[number].decode()


@pytest.mark.parametrize(
    ("headers", "path", "status", "words"),
    [
        ({}, "/", 403, "lacks its token"),
        ({}, "/state", 403, "lacks its token"),
        ({}, "/wrong-token/state", 403, "lacks its token"),
        ({}, "/%00/", 403, "lacks its token"),
        ({}, "/docs", 403, "lacks its token"),
        ({}, "/openapi.json", 403, "lacks its token"),
        ({"Host": "evil.example"}, "TOKEN/state", 403, "open the page as localhost or 127.0.0.1"),
        (
            {"Host": "evil.example:80"},
            "TOKEN/labels",
            403,
            "open the page as localhost or 127.0.0.1",
        ),
        (
            {"Host": "127.0.0.1.evil.example"},
            "TOKEN/state",
            403,
            "open the page as localhost or 127.0.0.1",
        ),
        ({"Host": "[::1"}, "TOKEN/state", 403, "open the page as localhost or 127.0.0.1"),
        ({"Origin": "http://evil.example"}, "TOKEN/labels", 403, "another site's page"),
        ({"Origin": "null"}, "TOKEN/labels", 403, "another site's page"),
        ({"Origin": "http://localhost:1"}, "TOKEN/undo", 403, "another site's page"),
        ({}, "TOKEN/nothing", 404, "Not Found"),
        ({}, "TOKEN/image/../../etc/passwd", 404, "Not Found"),
        ({}, "TOKEN/image/" + "f" * 64, 410, "not in the table"),
        ({}, "TOKEN/image/%2e%2e", 410, "not in the table"),
        ({}, "TOKEN/image/%F0%9F%93%A6", 410, "not in the table"),
        ({}, "TOKEN/server.js", 422, "part: "),
        ({}, "TOKEN/..%2Fsecret.js", 404, "Not Found"),
        ({}, "TOKEN/labels.parquet", 422, "kind: "),
        ({"Origin": "http://evil.example"}, "TOKEN/training", 403, "another site's page"),
        ({}, "TOKEN/next?order=best", 422, "order: "),
        ({}, "TOKEN/next?count=1000000", 422, "count: "),
        ({}, "TOKEN/next?day=yesterday", 422, "day: "),
        ({}, "TOKEN/next?what=else", 422, "what: "),
        ({}, "TOKEN/timeline?device=none", 422, "day: "),
    ],
)
def test_refused_requests(server, headers, path, status, words):
    address = f"http://127.0.0.1:{server.port}" + path.replace("TOKEN", f"/{server.token}")
    ask = requests.Request("GET", address, headers=headers).prepare()
    ask.url = address  # as it stands: requests would resolve the dots
    with requests.Session() as session:
        answer = session.send(ask, timeout=5)
    assert answer.status_code == status and words in answer.text
    assert "\n" not in answer.text.strip()
    assert server.token not in answer.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "short"}, "id: "),
        ({"sha256": "../../etc"}, "sha256: "),
        ({"sha256": "F" * 64}, "sha256: "),
        ({"label": ""}, "1 to 200 characters"),
        ({"label": "   "}, "1 to 200 characters"),
        ({"label": "x" * 201}, "1 to 200 characters; shorten a longer one where it"),
        ({"label": " unsure"}, "'unsure' is what a model answers that is not sure enough"),
        ({"label": "a\nb"}, "no line break"),
        ({"label": "a\u202eb"}, "no line break"),
        ({"label": "a\u200bb"}, "no line break"),
        ({"label": 7}, "label: "),
        ({"how": "import"}, "how: "),
        ({"labeller": "bob"}, "labeller: "),
    ],
)
def test_odd_labels_are_refused_and_nothing_is_written(server, sitting, change, words):
    answer = post(server, pressed(sitting, 0), pressed(sitting, 1) | change)
    assert answer.status_code == 422 and words in answer.json()["error"]
    assert sitting.journal.rows == []


def test_a_label_is_defined_before_an_image_has_it_and_a_refused_one_is_not(server, sitting):
    def define(label: str) -> requests.Response:
        return requests.post(f"{server.address}classes", json={"label": label}, timeout=5)

    assert define(" package ").json()["defined"] == "package"
    for label in ("empty", "package"):
        answer = define(label).json()
    refused = define("a\u202eb")
    assert refused.status_code == 422
    assert refused.json() == {"error": "a label has no line break and no control character"}
    assert [one["label"] for one in answer["classes"]] == sitting.classes == ["package", "empty"]
    assert answer["unlabelled"] == 40 and sitting.journal.rows == []


@pytest.mark.parametrize(
    "label",
    [
        "Tür",
        "R&D",
        "it's (new)",
        "<script>alert(1)</script>",
        "📦",
        "=1+1",
        "0",
        "no package",
        "a/b",
    ],
)
def test_any_visible_text_is_a_label(server, sitting, label):
    state = post(server, pressed(sitting, 0, f" {label} ")).json()
    assert state["classes"] == [{"label": label, "count": 1}]


def test_areas_that_were_added_while_others_were_drawn_stay(server, sitting, tmp_path):
    file = tmp_path / "porch.yaml"
    file.write_text("extends: local\nprivacy_masks: {'7': [[0, 0, 1, 0.5]]}\n")
    sitting.profile = load_profile(str(file), f"privacy_masks.8=[],lake={sitting.profile.lake}")

    def draw(before: dict) -> requests.Response:
        areas = {"regions": {"9": [0, 0, 1, 0.5]}, "privacy_masks": before["privacy_masks"]}
        return requests.post(f"{server.address}areas", json=areas | {"before": before}, timeout=5)

    def shown() -> dict:
        state = requests.get(f"{server.address}state", timeout=5).json()
        return {key: state[key] for key in ("regions", "privacy_masks")}

    before = shown()
    assert before == {"regions": {}, "privacy_masks": {"7": [[0, 0, 1, 0.5]]}}
    file.write_text(file.read_text().replace("{'7'", "{'6': [[0, 0, 1, 1]], '7'"))
    text, answer = file.read_text(), draw(before)
    assert answer.status_code == 409 and "have changed; reload this page" in answer.json()["error"]
    assert file.read_text() == text
    assert draw(shown()).ok and draw(shown()).ok
    assert list(shown()["privacy_masks"]) == ["6", "7"] and list(shown()["regions"]) == ["9"]
    file.write_text("regions: {'7': 5}\n")
    answer = requests.get(f"{server.address}state", timeout=5)
    assert answer.status_code == 409 and "correct it in the file" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{", 422), (b"[]", 422), (b'{"labels": []}', 422), (b"x" * (9 << 20), 413)],
)
def test_bodies_that_are_no_labels(server, body, status):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.address}labels", data=body, headers=headers, timeout=5)
    assert answer.status_code == status and answer.json()["error"]


def test_a_hundred_labels_a_second_from_a_script_are_all_there(server, sitting):
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda n: post(server, pressed(sitting, n % 40, str(n))), range(100))
        assert {answer.status_code for answer in answers} == {200}
    assert {row.label for row in sitting.journal.rows} == set(map(str, range(100)))
    times = [row.labelled_at for row in sitting.journal.rows]
    assert times == sorted(times) and len(set(times)) == 100


def test_on_a_full_disk_a_label_is_not_acknowledged(server, sitting):
    post(server, pressed(sitting, 0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sitting.journal._size + 9, before[1]))
    try:
        answer = post(server, pressed(sitting, 1))
        assert answer.status_code == 507 and "labels.jsonl: File too large" in answer.text
        state = requests.get(f"{server.address}state", timeout=5).json()
        assert (state["given"], state["unlabelled"]) == (1, 39)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert post(server, pressed(sitting, 1)).json()["given"] == 2


def test_a_port_in_use_is_an_error_of_one_line(server, sitting):
    with pytest.raises(UserError, match=r"port \d+ cannot be used .*-P port=0"):
        Server(sitting, server.port)


@pytest.mark.parametrize(
    ("format", "side", "expected", "size"),
    [
        ("JPEG", 1280, "JPEG", (900, 600)),
        ("JPEG", 160, "JPEG", (160, 107)),
        ("PNG", 1280, "PNG", (900, 600)),
        ("PNG", 160, "JPEG", (160, 107)),
        ("WEBP", 0, "WEBP", (900, 600)),
        ("TIFF", 0, "JPEG", (900, 600)),
        ("BMP", 300, "JPEG", (300, 200)),
    ],
)
def test_every_format_is_shown(tmp_path, format, side, expected, size):
    content = encoded(drawn(1).resize((900, 600)), format)
    profile, source = make_lake(tmp_path, [(frame_name(0), content)])
    journal = Journal(journal_folder(profile))
    sitting = Sitting(profile, source, journal, "ann")
    with serving(sitting) as server:
        address = f"{server.address}image/{_sha(sitting, 0)}?side={side}"
        answer = requests.get(address, timeout=5)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == (expected, size)
    assert answer.headers["Content-Type"] == f"image/{expected.lower()}"
    journal.close()


def test_an_image_on_its_side_is_upright_at_any_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(drawn(1).resize((900, 600)), exif=exif.tobytes())
    profile, source = make_lake(tmp_path, [(frame_name(0), content)])
    journal = Journal(journal_folder(profile))
    with serving(Sitting(profile, source, journal, "ann")) as server:
        first = requests.get(f"{server.address}next", timeout=5).json()["images"][0]["sha256"]
        answer = requests.get(f"{server.address}image/{first}?side=300", timeout=5)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (200, 300)
    journal.close()


def test_nothing_to_label_is_an_error_with_the_command(tmp_path):
    profile, _ = make_lake(tmp_path, [(frame_name(0), jpeg(0))])
    journal = Journal(journal_folder(profile))
    for source, words in (("file:/elsewhere", "no image of /elsewhere"), ("s3://none", "no image")):
        with pytest.raises(UserError, match=words):
            Sitting(profile, source, journal, "ann")
    empty = profile.model_copy(update={"lake": str(tmp_path / "none")})
    with pytest.raises(UserError, match="has no images yet"):
        Sitting(empty, "file:/x", journal, "ann")
    log = tmp_path / "lake" / "images" / "_delta_log" / f"{1:020}.json"
    log.write_text(json.dumps({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}}))
    with pytest.raises(UserError, match="only Spark reads"):
        Sitting(profile, f"file:{tmp_path / 'zone'}", journal, "ann")
    journal.close()
