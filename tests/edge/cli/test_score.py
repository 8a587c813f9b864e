import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image
from tiny_model import probabilities, statement

from edge.cameras.camera import CameraSettings
from edge.cameras.folder import FolderCamera
from edge.cli.main import main
from edge.cli.score import score_frames
from edge.inference.record import ModelRecord
from edge.inference.region import Region
from edge.inference.scoring import Scorer
from edge.update.current import CurrentModel
from edge.update.errors import NoModelError


@pytest.fixture
def models(tmp_path, model_folder):
    """A model's folder as a pull leaves it, with version 4 in use."""
    home = tmp_path / "models" / "brightness"
    shutil.copytree(model_folder, home / "4")
    stated = statement(model_folder, "brightness", "4")
    (home / "4" / "release.json").write_text(json.dumps(stated))
    (home / "current").symlink_to("4")
    return home


def test_rows_are_aligned_and_written(models, tmp_path, capsys):
    command = ["score", "--models", str(models), "--count", "3", "--json", str(tmp_path / "rows")]
    assert main(command) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    columns = ["file", "truth", "label", "score", "ms", "version"]
    assert header.split() == columns
    assert len(lines) == 3 and {len(line) for line in lines} == {len(header)}
    rows = json.loads((tmp_path / "rows").read_text())
    assert [list(row) for row in rows] == [columns] * 3
    assert rows[0]["file"] == "2026-07-27T00:00:00+00:00"
    for row, line in zip(rows, lines, strict=True):
        assert row["label"] in ("dark", "bright") and 0.5 <= row["score"] <= 1
        assert row["ms"] > 0 and row["version"] == "4"
        assert row["truth"] in ("0", "1")
        assert line.split()[:4] == [*(row[name] for name in columns[:3]), f"{row['score']:.4f}"]


def test_labels_stand_with_the_names_that_people_gave_them(models, capsys):
    record = replace(ModelRecord.read(models / "4"), names={"dark": "night"})
    record.write(models / "4")
    (models / "4" / "release.json").unlink()
    stated = statement(models / "4", "brightness", "4")
    (models / "4" / "release.json").write_text(json.dumps(stated))
    assert main(["score", "--models", str(models), "--count", "40"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert {" ".join(line[2:-3]) for line in lines} == {"dark (night)", "bright"}


def test_files_are_scored_by_their_bytes(models, tmp_path, simulated):
    folder = tmp_path / "images"
    command = ["capture", "--to", str(folder), "--count", "2", "--period", "720"]
    assert main(command) == 0
    camera = FolderCamera(CameraSettings(source=str(folder)))
    rows = list(score_frames(CurrentModel(models), camera.frames(None), {}, ""))
    paths = sorted(folder.iterdir())
    expected = probabilities(Scorer(models / "current"), paths)
    assert [row.file for row in rows] == [path.name for path in paths]
    assert [row.score for row in rows] == [float(scores.max()) for scores in expected]


def test_frames_have_the_region_of_the_device_that_is_named(models, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    half = Image.new("RGB", (64, 48))
    half.paste((255, 255, 255), (0, 0, 32, 48))
    half.save(folder / "1.png")
    regions = {"7": Region(0, 0, 0.5, 1), "": Region(0.5, 0, 0.5, 1)}
    folder_4 = models / "4"
    replace(ModelRecord.read(folder_4), regions=regions).write(folder_4)
    stated = statement(folder_4, "brightness", "4")
    stated["files"].pop("artifacts/release.json")
    (folder_4 / "release.json").write_text(json.dumps(stated))
    command = ["score", "--models", str(models), "--camera", f"folder:{folder}"]
    for device, label in (("7", "bright"), ("8", "dark")):
        assert main([*command, "--device", device]) == 0
        assert capsys.readouterr().out.splitlines()[-1].split()[1] == label
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == "dark"


def test_the_true_labels_of_files_are_shown_if_they_are_known(models, tmp_path, capsys, simulated):
    folder = tmp_path / "images"
    assert main(["capture", "--to", str(folder), "--count", "2", "--period", "720"]) == 0
    names = sorted(path.name for path in folder.iterdir())
    (tmp_path / "truth").write_text(json.dumps({names[0]: "bright"}))
    command = ["score", "--models", str(models), "--camera", f"folder:{folder}", "--count", "2"]
    capsys.readouterr()
    assert main([*command, "--truth", str(tmp_path / "truth")]) == 0
    known = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in known] == [["file", "truth"], [names[0], "bright"], [names[1], "-"]]
    assert main(command) == 0
    assert "truth" not in capsys.readouterr().out


def test_a_number_in_the_truth_counts_as_its_text(models, tmp_path, capsys, simulated):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (64, 48)).save(folder / "1.png")
    (tmp_path / "truth").write_text('{"1.png": 0}')
    command = ["score", "--models", str(models), "--camera", f"folder:{folder}"]
    assert main([*command, "--truth", str(tmp_path / "truth")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["1.png", "0"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe\x00", b"[]", b"3", b"[" * 100_000),
        *(b'{"a": null}', b'{"a": ["0"]}', b'{"a": true}', b'{"a": NaN}'),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_truth_that_is_not_labels_by_file_name_is_one_line(models, tmp_path, capsys, content):
    (tmp_path / "truth").write_bytes(content)
    assert main(["score", "--models", str(models), "--truth", str(tmp_path / "truth")]) == 1
    assert capsys.readouterr().err == (
        f'edge score: {tmp_path}/truth is not JSON such as {{"1.jpg": "0"}}: a label by file name\n'
    )


@pytest.mark.parametrize("count", [0, 2])
def test_an_early_end_keeps_the_rows_that_there_are(
    models, tmp_path, capsys, monkeypatch, simulated, count
):
    (tmp_path / "rows").write_text("of before")
    frames = list(simulated.frames(count))

    def stopped(*_):
        yield from frames
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.cameras.simulated.SimulatedCamera.frames", stopped)
    assert main(["score", "--models", str(models), "--json", str(tmp_path / "rows")]) == 130
    assert capsys.readouterr().err == ""
    kept = (tmp_path / "rows").read_text()
    assert len(json.loads(kept)) == count if count else kept == "of before"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/x.json", "no folder {}/none: create it, or name another file"),
        ("models", "{}/models is a folder: name a file"),
        ("models/" + "x" * 252, "File name too long: use a shorter name"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_the_first_frame(
    models, tmp_path, capsys, name, message
):
    command = ["score", "--models", str(models), "--json", str(tmp_path / name), "--count", "1"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message.format(tmp_path) in said.err


def test_rows_go_into_a_pipe_as_well(models, tmp_path):
    reader, writer = os.pipe()
    command = ["score", "--models", str(models), "--json", f"/dev/fd/{writer}", "--count", "1"]
    assert main(command) == 0
    os.close(writer)
    with open(reader) as pipe:
        assert len(json.load(pipe)) == 1


def test_the_rows_are_written_although_nobody_reads_the_table(models, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "edge", "score", "--models", str(models), "--count", "2"]
    command += ["--json", str(tmp_path / "rows")]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    assert len(json.loads((tmp_path / "rows").read_text())) == 1


def test_a_missing_model_names_the_next_command(tmp_path, capsys):
    with pytest.raises(NoModelError):
        CurrentModel(tmp_path / "models" / "package-onnx")
    assert main(["score", "--models", str(tmp_path / "models" / "package-onnx")]) == 1
    said = capsys.readouterr().err
    assert "python -m edge pull --server URL --model package-onnx --into" in said
    assert said.count("\n") == 1
