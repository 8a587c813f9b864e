"""The contest of networks: one trial each, and the best one gets all the others."""

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import mlflow
import pytest
from mlflow import MlflowClient
from small_cache import bright_or_not, write_cache
from small_registry import SELECTION

from steps.dataset.selection import NetworkInput
from steps.pipeline.report import Report
from steps.reports.tune import fill_report
from steps.settings.search_space import Choice, Range, SearchSpace
from steps.training.feature_cache import find_or_describe
from steps.training.plan import Plan
from steps.tuning.contest import Entry, best_way, hold_contest, within_limits, worth_a_contest
from steps.tuning.hyperopt_space import narrow_space
from steps.tuning.learning_curve import find_learning_curve
from steps.tuning.search import Limits
from steps.tuning.trials import FAILED, FINISHED, list_trial_runs, read_trials

pytestmark = pytest.mark.slow

LITE, COMPACT = "efficientnet_lite0", "compact"
SIZE = SELECTION.input_size
SPACE = SearchSpace(
    learning_rate=Range(low=1e-3, high=6e-3, scale="log"),
    width=Range(low=0.25, high=0.75, step=0.25),
    network=Choice(choices=[COMPACT, LITE]),
)
LIMITS = Limits(trials=4, parallelism=2, seconds=None, patience=0)


@pytest.fixture(scope="module")
def entries(lake, tmp_path_factory) -> list[Entry]:
    """A frozen network's features and pixels of the same images."""
    home = tmp_path_factory.mktemp("contest")
    profile = lake.fresh(home)
    folder = home / "cache" / "0123456789abcdef" / ("0" * 32)
    folder.mkdir(parents=True)
    groups = {"train": [8] * 4, "validation": [6] * 2, "test": [2]}
    pixels = write_cache(folder, groups, SIZE, draw=bright_or_not)

    @contextmanager
    def spark():
        yield lake.spark

    made = []
    for network in (LITE, COMPACT):
        plan = Plan(network=network, width=1.0, epochs=2, epoch_steps=2, seed=1)
        cache = find_or_describe(plan, pixels, profile, spark)
        cost = {"onnx_bytes": 1e6 * (1 + (network == LITE)), "latency_ms": 1.0}
        made.append(Entry(NetworkInput(network, SIZE[0], "squash"), SELECTION, plan, cache, cost))
    return made


WAYS = [NetworkInput(LITE, size, way) for size in (128, 160, 224) for way in ("squash", "crop")]


@pytest.mark.parametrize(
    ("losses", "best", "never"),
    [
        # squash, crop at 128, then 160, 224
        ((0.5, 0.4, 0.1, 0.35, 0.1, 0.3), (224, "crop"), [(160, "squash"), (224, "squash")]),
        ((0.4, 0.5, 0.45, 0.0, 0.3, 0.0), (224, "squash"), [(160, "crop"), (224, "crop")]),
        ((0.4, 0.4, 0.5, 0.0, 0.5, 0.0), (128, "squash"), [(160, "crop"), (224, "crop")]),
    ],
)
def test_the_smallest_size_decides_how_to_resize_and_then_the_sizes_compete(losses, best, never):
    known, asked = dict(zip(WAYS, losses, strict=True)), []

    def loss(way: NetworkInput) -> float:
        asked.append(way)
        return known[way]

    assert best_way(WAYS, loss) == NetworkInput(LITE, *best)
    assert len(asked) == 4 and not {NetworkInput(LITE, *way) for way in never} & {*asked}


def test_a_single_way_needs_no_loss():
    assert best_way(WAYS[:1], lambda way: pytest.fail("asked")) == WAYS[0]


@pytest.mark.parametrize(
    ("limit", "left"), [(None, [LITE, COMPACT]), (1_500_000, [COMPACT]), (10, [LITE, COMPACT])]
)
def test_a_network_that_costs_a_device_too_much_does_not_compete(entries, lake, limit, left):
    rules = lake.profile.promotion.model_copy(update={"max_onnx_bytes": limit})
    assert [one.network for one in within_limits(entries, rules)] == left


@pytest.mark.parametrize(
    ("counts", "left"), [((10, 12), [LITE, COMPACT]), ((9, 40), [LITE]), ((10,), [LITE])]
)
def test_few_validation_images_of_a_label_compare_no_networks(entries, counts, left):
    validation = dict(zip(("a", "b"), counts, strict=False))
    few = [
        replace(one, cache=replace(one.cache, counts=one.cache.counts | {"validation": validation}))
        for one in entries
    ]
    assert [one.network for one in worth_a_contest(few)] == left
    assert worth_a_contest(few[1:]) == few[1:]


def test_the_learning_curve_is_that_of_the_frozen_network(entries):
    curve = find_learning_curve(entries)
    assert list(curve.correct) == [0.25, 0.5, 1.0]
    assert len(curve.classes) == entries[0].cache.rows("train") // 4 + 12
    assert find_learning_curve(entries[1:]) is None


def test_each_network_has_a_trial_and_the_best_one_the_others(lake, store, entries):
    with mlflow.start_run() as parent:
        trials, winner = hold_contest(
            lake.spark, entries, SPACE, LIMITS, parent.info.run_id, before=[]
        )
    assert {trial.outcome for trial in trials} == {FINISHED} and len(trials) == 4
    counts = {name: sum(trial.network == name for trial in trials) for name in (LITE, COMPACT)}
    assert counts == {winner.contender.network: 3} | {
        name: 1 for name in counts if name != winner.contender.network
    }
    firsts = {trial.network: trial for trial in reversed(trials)}
    assert min(firsts.values(), key=lambda one: one.validation_loss).network == (
        winner.contender.network
    )
    assert "width" not in firsts[LITE].hyperparameters

    resumed = [trial for trial in read_trials(parent.info.run_id) if trial in firsts.values()]
    with mlflow.start_run() as again:
        more, _ = hold_contest(lake.spark, entries, SPACE, LIMITS, again.info.run_id, resumed)
    assert len(more) == 4 and all(trial in more for trial in resumed)

    report = Report("tune", "run")
    with mlflow.start_run():  # whose experiment the links lead to
        curve = find_learning_curve(entries)
        fill_report(report, trials, narrow_space(SPACE, winner.contender.network), entries, curve)
    (learning,) = (one for one in report.sections if one.title == "Learning curve")
    assert [row[0] for row in learning.rows] == ["all", "a", "b"]
    table = next(section for section in report.sections if section.title == "Networks")
    assert table.rows[0][0] == winner.contender.network and len(table.rows) == 2


def test_the_time_limit_is_that_of_all_networks(lake, store, entries):
    """The first trial of one takes all of it, and there are no others."""
    long = replace(entries[0], plan=replace(entries[0].plan, epochs=100_000, patience=0))
    limits = replace(LIMITS, seconds=10)
    with mlflow.start_run() as parent:
        trials, _ = hold_contest(
            lake.spark, [long, entries[1]], SPACE, limits, parent.info.run_id, before=[]
        )
    assert [trial.network for trial in trials] == [LITE, COMPACT]
    assert trials[0].outcome == FAILED


def test_a_stop_ends_the_first_trials_of_all_networks(lake, store, entries):
    """Within seconds, though none of them would end within minutes."""
    long = [replace(one, plan=replace(one.plan, epochs=100_000, patience=0)) for one in entries]
    run_id = MlflowClient().create_run("0").info.run_id
    main_thread = threading.get_ident()

    def have_started() -> bool:
        return len(list_trial_runs(MlflowClient(), run_id)) == len(long)

    def stop() -> None:
        while not have_started():
            time.sleep(0.2)
        signal.pthread_kill(main_thread, signal.SIGINT)  # it wakes from a wait for that alone

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        hold_contest(lake.spark, long, SPACE, LIMITS, run_id, before=[])
    assert {run.info.status for run in list_trial_runs(MlflowClient(), run_id)} == {"FAILED"}
