"""The whole pipeline on a small simulated set, as a user runs it, and what each step gave."""

import hashlib
import io
import json
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from edge.inference.record import ModelRecord
from edge.inference.scoring import Scorer
from notebooks.render import execute
from steps.api import Pipeline
from steps.errors import UserError
from steps.pipeline.outputs import ExportOutputs, IngestOutputs, ScoreOutputs, TrainOutputs
from steps.pipeline.pipeline_state import MainOutputs
from steps.settings.profile import PROJECT

pytestmark = pytest.mark.slow

IMAGES = 120
STEPS = ("ingest", "tune", "train", "register", "promote", "export")
NOISE = re.compile(
    r"WARN|incubator|native-hadoop|absl|oneDNN|[Cc]uda|<std(err|out)>|Deprecat|Future|UserWarning"
    r"|[Pp]ickle|signature|Stage \d"
)
"""What libraries print for their authors, or for a terminal."""
QUICK = {"input_size": 64, "tune_trials": 2, "tune_epochs": 1, "train_epochs": 3}
QUICK |= {"train_launcher": "horovod"}  # which takes longer on so few images


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, workshop_factory):
    """A pipeline that ran once: few epochs, so that any accuracy is good enough."""
    workshop = workshop_factory(tmp_path_factory.mktemp("pipeline"), min_accuracy=0.0)
    landing = workshop.home / "landing"
    workshop.capture(landing, IMAGES)
    (landing / "2026-07-13T09%3A15%3A30_rpi_sensor_1_porch_0.jpg").write_bytes(b"not an image")
    too_few = {"source": landing, "override": "promotion.min_accuracy=0.99", **QUICK}
    done = workshop.mlflow_run("main", **too_few)
    assert done.returncode == 0
    assert re.fullmatch(r"run_id=[0-9a-f]{32}", done.stdout.strip())
    assert not [line for line in (done.stdout + done.stderr).splitlines() if NOISE.search(line)]
    said_before, _, said_after = done.stderr.partition("train     run, because")
    assert "labelled images are too few for promotion, which needs 268" in said_before
    assert_ended(workshop, "main", "no model yet", said_after)
    none_yet = workshop.step("device", models=str(workshop.home / "device"))
    assert none_yet.returncode == 1  # and so has `make run`
    assert_ended(workshop, "device", "no model yet", none_yet.stderr, "FAILED")
    done = workshop.mlflow_run("main", source=landing, **QUICK)
    assert (done.returncode, done.stderr.count("reuse run")) == (0, len(STEPS) - 2)
    assert said_before.count("classes: ") == done.stderr.count("classes: ") == 1
    assert said_after.index("\nepoch ") < said_after.index("\nthe best epoch is ")
    assert_ended(workshop, "main", "released", done.stderr)
    return workshop


ENDINGS = {
    "no model yet": r"no model yet: package 1 .*test images are too few.*; run: mlflow run \. .+",
    "released": r"package 1, release 1; expected accuracy \d\.\d\d \(\d\.\d\d–\d\.\d\d\).*",
    "reused": r"nothing to do: package 1, release 1; expected accuracy .+",
    "champion stays": r"champion stays: package 1; challenger \d+ had [\d.]+ \(.+\): log_loss .+",
}


def assert_ended(pipeline, step, result, stderr, status="FINISHED"):
    """The newest run of a step has a result and a status, and its last line says it."""
    run = pipeline.runs(step)[0]
    assert (run.info.status, run.data.tags["result"]) == (status, result)
    own = [line for line in stderr.splitlines() if line.startswith(f"{step}: ")]
    assert re.fullmatch(f"{step}: {ENDINGS[result]}", own[-1])


@pytest.fixture(autouse=True, scope="module")
def store(pipeline):
    mlflow.set_tracking_uri(pipeline.store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", pipeline.store)
        yield


def outputs_of(pipeline, step, record):
    run_id = pipeline.runs(step)[0].info.run_id
    return record.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json"))


@pytest.mark.parametrize("step", STEPS)
def test_each_step_keeps_the_contract_of_a_run(pipeline, step):
    run = pipeline.runs(step)[0]
    assert run.info.status == "FINISHED"
    assert run.data.tags["profile"] == "test"
    assert re.fullmatch("[0-9a-f]{32}", run.data.tags["cache_key"])
    parents = {main.info.run_id for main in pipeline.runs("main")}
    assert run.data.tags["mlflow.parentRunId"] in parents
    kept = {file.path for file in pipeline.client.list_artifacts(run.info.run_id)}
    assert {"report.html", "outputs.json"} <= kept
    assert run.data.params["profile"] == str(pipeline.profile)


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        ("tune", ["ingest"]),
        ("train", ["ingest", "tune"]),
        ("register", ["train"]),
        ("promote", ["register"]),
    ],
)
def test_a_step_names_the_runs_it_read(pipeline, step, inputs):
    tags = pipeline.runs(step)[0].data.tags
    assert {k: v for k, v in tags.items() if k.startswith("input.")} == {
        f"input.{name}": pipeline.runs(name)[0].info.run_id for name in inputs
    }


def test_ingest_keeps_every_image_and_quarantines_the_broken_one(pipeline):
    ingested = outputs_of(pipeline, "ingest", IngestOutputs)
    assert (ingested.images, ingested.quarantined) == (IMAGES, 1)
    assert sum(ingested.labels.values()) == IMAGES
    assert set(ingested.labels) == {"0", "1"}
    dataset = pipeline.runs("train")[0].inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.source)["delta_table_version"] == ingested.version


def test_every_trial_is_a_nested_run(pipeline):
    trials = pipeline.runs("trial")
    assert len(trials) == QUICK["tune_trials"]
    assert {t.data.tags["mlflow.parentRunId"] for t in trials} == {
        pipeline.runs("tune")[0].info.run_id
    }
    assert all({"learning_rate", "dropout"} <= set(t.data.params) for t in trials)
    assert {t.data.params["network"] for t in trials} == {"compact", "efficientnet_lite0"}


def test_the_network_was_trained_by_two_ranks_of_horovod(pipeline):
    trained = outputs_of(pipeline, "train", TrainOutputs)
    assert (trained.launcher, trained.processes) == ("horovod", 2)
    history = pipeline.client.get_metric_history(pipeline.runs("train")[0].info.run_id, "loss")
    assert len(history) == QUICK["train_epochs"]


def test_the_aliases_name_linked_versions(pipeline):
    keras = pipeline.client.get_model_version_by_alias("package", "champion")
    onnx = pipeline.client.get_model_version_by_alias("package-onnx", "champion")
    assert (
        pipeline.client.get_model_version_by_alias("package", "challenger").version == keras.version
    )
    assert onnx.tags["keras_version"] == str(keras.version)
    assert keras.tags["onnx_version"] == str(onnx.version)
    assert keras.tags["run.train"] == pipeline.runs("train")[0].info.run_id


def test_keras_and_onnx_agree_on_every_test_image(pipeline, tmp_path):
    from steps.dataset.cache_filling import find_or_fill
    from steps.dataset.cache_reader import read_row_groups
    from steps.registry.versions import load_keras
    from steps.settings.profile import load_profile

    exported = outputs_of(pipeline, "export", ExportOutputs)
    selection = outputs_of(pipeline, "train", TrainOutputs).selection
    cache = find_or_fill(selection, load_profile(str(pipeline.profile)), spark=None)
    model = load_keras(pipeline.client.get_model_version_by_alias("package", "champion"))
    uri = f"models:/{exported.model}/{exported.version}/artifacts"
    folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(tmp_path))
    scorer = Scorer(folder)
    seen = 0
    for group in read_row_groups(cache, "test", ["pixels"]):
        pixels = cache.stack(group.pixels)
        np.testing.assert_allclose(
            scorer.score_prepared(pixels),
            np.asarray(model(pixels, training=False)),
            atol=1e-4,
            rtol=0,
        )
        seen += len(pixels)
    assert seen == exported.test_images == cache.rows("test")
    assert ModelRecord.read(folder).labels == ["0", "1"]


def test_an_unchanged_pipeline_is_reused_and_says_so(pipeline):
    ran = {step: len(pipeline.runs(step)) for step in STEPS}
    done = pipeline.step("main", source=pipeline.home / "landing", **QUICK)
    assert done.returncode == 0
    assert done.stderr.count("reuse run") == len(STEPS)
    assert_ended(pipeline, "main", "reused", done.stderr)
    assert {step: len(pipeline.runs(step)) for step in STEPS} == ran
    reused = outputs_of(pipeline, "main", MainOutputs).runs
    assert reused["ingest"] == pipeline.runs("ingest")[0].info.run_id


def test_a_dry_run_tells_what_new_images_would_run(pipeline):
    newer = pipeline.home / "landing" / "2026-07-30T09%3A15%3A30_rpi_sensor_1_porch_0.jpg"
    newer.write_bytes(next((pipeline.home / "landing").glob("*_0.jpg")).read_bytes())
    ran = {step: len(pipeline.runs(step)) for step in STEPS}
    done = pipeline.step("main", source=pipeline.home / "landing", dry_run="true", **QUICK)
    newer.unlink()
    assert done.returncode == 0
    assert done.stderr.count("run, because") == len(STEPS)
    assert {step: len(pipeline.runs(step)) for step in STEPS} == ran


NOTEBOOKS = PROJECT / "notebooks"


def run_notebook(pipeline, name, **parameters):
    """What a notebook prints, and the pages and images that it shows."""
    places = {"source": str(pipeline.home / "landing"), "profile": str(pipeline.profile)}
    done = execute(NOTEBOOKS / f"{name}.ipynb", **places, **parameters)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    print(printed)
    return printed, [output.data for output in outputs if "data" in output]


def test_the_notebook_of_the_configuration_says_what_would_run(pipeline):
    camera = f"--count {IMAGES} --period 60"
    printed, (shown,) = run_notebook(pipeline, "01_configuration", camera=camera)
    assert f"0 frames written to {pipeline.home}/landing, {IMAGES} existed already" in printed
    assert f"lake: {pipeline.home}/lake" in printed
    would_run = "tune      run, because parameter epochs is 10 and was 1"
    assert (printed.count("reuse run"), would_run in printed) == (1, True)
    assert "The pipeline" in shown["text/html"]


def test_the_notebook_of_the_ingest_reads_what_mlflow_run_has_ingested(pipeline):
    printed, shown = run_notebook(pipeline, "02_ingest")
    assert printed.count("reuse run") == len(pipeline.runs("ingest")) == 1
    assert f"\n{IMAGES} images\n" in printed
    report, table, *plots = shown
    assert report["text/html"].startswith("<iframe")
    assert table["text/html"].count("<tr") == 1 + 5
    assert "2026-07-13 00:15:00+00:00" in table["text/html"]
    assert ["image/png" in plot for plot in plots] == [True, True]


def test_the_notebook_of_the_training_trains_again_and_compares(pipeline):
    (first,) = pipeline.runs("train")
    printed, (*_, compared) = run_notebook(pipeline, "03_training", quick=QUICK)
    assert printed.count("reuse run") == 3
    second, again = pipeline.runs("train")
    assert again.info.run_id == first.info.run_id
    assert [run.data.params["epochs"] for run in (first, second)] == ["3", "2"]
    names = ("ingest", "tune")
    assert len({tuple(run.data.tags[f"input.{n}"] for n in names) for run in (first, second)}) == 1
    assert "parameter epochs is 2 and was 3" in compared["text/html"]
    figures = {n: first.data.metrics[n] for n in ("test_accuracy", "test_log_loss")}
    assert f"{figures} {outputs_of(pipeline, 'export', ExportOutputs).test_images} test" in printed


@pytest.fixture(scope="module")
def deployed(pipeline):
    models = str(pipeline.home / "device")
    return run_notebook(pipeline, "04_deployment", quick=QUICK, models=models)


def test_the_notebook_of_the_deployment_predicts_what_spark_scores(pipeline, deployed):
    printed, _ = deployed
    assert printed.count("reuse run") == len(STEPS)
    assert len(pipeline.runs("export")) == 1
    p = Pipeline(pipeline.home / "landing", pipeline.profile)
    images = p.images(content=True)
    answers = p.predict(images.path)
    right = (answers.label == images.label).mean()
    assert f"{right:.1%} of {IMAGES} images" in printed
    counts = answers.label.value_counts().items()
    scored = re.search(rf"{IMAGES} scored by package 1: (.*); \d+ unsure", printed)[1]
    assert set(scored.split(", ")) == {f"{label} {count}" for label, count in counts}
    damaged, first = images.content[0][:2000], images.content[1]
    pixels = np.asarray(Image.open(io.BytesIO(first)))
    mixed = p.predict([damaged, first, pixels, Path(images.path[1][5:])], version="1")
    assert mixed.reason[0].startswith("truncated") and mixed.path[3] == images.path[1][5:]
    assert (mixed.label[1:] == answers.label[1]).all()
    assert [mixed.score[1], mixed.score[3]] == pytest.approx([answers.score[1]] * 2, abs=1e-5)
    with pytest.raises(UserError, match="cannot read /none.jpg: No such file"):
        p.predict(["/none.jpg"])


def test_train_again_gives_the_same_weights(pipeline):
    first = pipeline.runs("train")[-1]
    inputs = {f"{step}_run_id": first.data.tags[f"input.{step}"] for step in ("ingest", "tune")}
    given = {name: QUICK[f"train_{name}"] for name in ("epochs", "launcher")}
    given["input_size"] = QUICK["input_size"]
    assert pipeline.step("train", **given, **inputs).returncode == 0
    second = pipeline.runs("train")[0]
    assert second.info.run_id != first.info.run_id
    assert weights_digest(second) == weights_digest(first)


def weights_digest(run) -> str:
    from steps.training.model import load_model

    digest = hashlib.sha256()
    for weights in load_model(run.info.run_id).get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def test_export_again_gives_the_same_bytes(pipeline):
    before = outputs_of(pipeline, "export", ExportOutputs)
    assert pipeline.step("export").returncode == 0
    after = outputs_of(pipeline, "export", ExportOutputs)
    assert after.files == before.files
    assert after.release == before.release + 1


def test_a_refused_challenger_leaves_the_champion_and_is_red_only_for_those_who_ask(pipeline):
    sure = "promotion.thresholds.log_loss.max=0.000001"
    strict = {"source": pipeline.home / "landing", "override": sure}
    done = pipeline.step("main", force="register", **strict, **QUICK)
    assert done.returncode == 0
    assert_ended(pipeline, "main", "champion stays", done.stderr)
    compared = len(pipeline.runs("promote"))
    done = pipeline.step("main", on_refusal="fail", **strict, **QUICK)
    assert done.returncode == 1
    assert_ended(pipeline, "main", "champion stays", done.stderr, "FAILED")
    assert len(pipeline.runs("promote")) == compared
    assert pipeline.client.get_registered_model("package").aliases["champion"] in (1, "1")


def test_the_device_scores_ten_new_frames(deployed):
    printed, _ = deployed
    row = re.compile(r"\S+T\d\d\S+ +[01] +[01] +[01]\.\d{4} ")
    table = [line for line in printed.splitlines() if row.match(line)]
    assert "file" in printed and "version" in printed
    assert len(table) == 10
    assert "make ui" in printed
    assert re.search(r"device: 10 frames scored with package 1, release \d+\n", printed)
    assert re.search(r"^package 1, release \d+: ", printed, re.MULTILINE)


def test_spark_scores_each_image_once(pipeline, deployed):
    first = outputs_of(pipeline, "score", ScoreOutputs)
    assert (first.scored, first.unreadable) == (IMAGES, 0)
    assert re.match(rf"{IMAGES} scored by package 1: [01] \d+.*; \d+ unsure \(\d+%\)", first.line)
    assert f"WHERE score_run_id = '{pipeline.runs('score')[0].info.run_id}'" in first.line
    assert pipeline.step("score").returncode == 0
    second = outputs_of(pipeline, "score", ScoreOutputs)
    assert (second.scored, second.line) == (0, "package 1 has nothing new to score")


LONGER = QUICK | {"train_epochs": 20, "train_patience": 0, "train_launcher": "single"}


def epochs_kept(pipeline) -> int:
    kept = pipeline.home.rglob("epoch-*.npz")
    return max((int(path.stem.removeprefix("epoch-")) for path in kept), default=0)


def test_a_pipeline_that_is_stopped_in_its_training_goes_on_from_the_last_epoch(pipeline):
    given = LONGER | {"source": pipeline.home / "landing", "until": "train"}
    output = pipeline.interrupt("main", lambda: epochs_kept(pipeline) >= 2, **given)
    by_step, by_pipeline = re.findall("stopped; resume with: (.*)", output)
    stopped = pipeline.runs("train")[0]
    assert stopped.info.status == "KILLED"
    inputs = {step: pipeline.runs(step)[0].info.run_id for step in ("ingest", "tune")}
    pinned = {"resume": stopped.info.run_id, **inputs}
    assert all(f"-P {name}_run_id={run_id}" in by_step for name, run_id in pinned.items())
    assert by_pipeline.endswith(" -P from=train")

    done = pipeline.step("main", **given)
    assert done.returncode == 0
    assert f"it resumes run {stopped.info.run_id}, which was interrupted" in done.stderr
    assert pipeline.runs("train")[0].data.tags["resumed"] == stopped.info.run_id
    assert outputs_of(pipeline, "train", TrainOutputs).epochs == LONGER["train_epochs"]
    assert epochs_kept(pipeline) == 0


def test_a_training_that_is_stopped_before_its_first_epoch_starts_again(pipeline):
    before = len(pipeline.runs("train"))
    output = pipeline.interrupt("train", lambda: len(pipeline.runs("train")) > before, seed=1)
    (said,) = re.findall("stopped; resume with: (.*)", output)
    assert "-e train" in said and "resume_run_id" not in said
