"""The report of tune."""

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from steps.dataset.split import VALIDATION
from steps.evaluation.intervals import with_interval
from steps.pipeline.report import Report, run_link
from steps.settings.search_space import Choice, Range, SearchSpace
from steps.tuning.contest import Entry
from steps.tuning.hyperopt_space import cast_value, to_point
from steps.tuning.learning_curve import LearningCurve
from steps.tuning.trials import FAILED, PRUNED, Trial


def fill_report(
    report: Report,
    trials: list[Trial],
    space: SearchSpace,
    entries: list[Entry],
    curve: LearningCurve | None = None,
) -> None:
    """Show the networks, the learning curve, the lowest loss by trial, the hyperparameters, and
    each trial's run.

    Args:
        report: of the run.
        trials: all of them.
        space: what was searched for the best network.
        entries: the networks, with how their images were prepared.
        curve: of the frozen network's head, if one competed.
    """
    ranked = sorted(trials, key=lambda trial: trial.validation_loss)
    best = ranked[0]
    report.headline("trials", len(trials))
    report.headline("pruned", sum(trial.outcome == PRUNED for trial in trials))
    report.headline("failed", sum(trial.outcome == FAILED for trial in trials))
    report.headline("best validation loss", f"{best.validation_loss:.4f}")
    report.headline("its accuracy", f"{best.validation_accuracy:.1%}")
    if len(entries) > 1:
        _networks(report, ranked, entries)
    if curve:
        _learning_curve(report, curve, entries[0].cache.labels)
    text = "By trial, in the order of the search; the first uses train's defaults."
    report.plot("Lowest loss so far", _best_so_far(trials), text)
    of_best = [trial for trial in ranked if trial.network == best.network]
    text = "Each line is a trial; the darker it is, the lower its loss."
    report.plot("Hyperparameters and loss", _parallel_coordinates(of_best, space), text)
    names = list(space.searched())
    header = ["run", *names, "validation loss", "accuracy", "epochs", "outcome"]
    rows = [
        [
            run_link(trial.run_id),
            *(trial.hyperparameters.get(name, "–") for name in names),
            trial.validation_loss if trial.outcome != FAILED else "–",
            trial.validation_accuracy,
            len(trial.losses),
            trial.outcome + (f": {trial.error}"[:120] if trial.error else ""),
        ]
        for trial in ranked
    ]
    report.table("Trials, best first", header, rows)


def _networks(report: Report, ranked: list[Trial], entries: list[Entry]) -> None:
    rows: list[list[Any]] = []
    for network in dict.fromkeys(trial.network for trial in ranked):
        entry = next(one for one in entries if one.contender.network == network)
        best = next(trial for trial in ranked if trial.network == network)
        accuracy = with_interval(best.validation_accuracy, entry.cache.rows(VALIDATION))
        loss = best.validation_loss if best.outcome != FAILED else "–"
        cost = round(entry.cost["onnx_bytes"] / 1e6, 1), round(entry.cost["latency_ms"], 1)
        rows.append([*entry.contender, accuracy, loss, *cost])
    accuracy, loss = "validation accuracy", "validation loss"
    header = ["network", "input", "resizing", accuracy, loss, "ONNX, MB", "ms an image"]
    winner, *others = (row[0] for row in rows)
    text = f"{winner} is trained, since its validation loss is the lowest" + (
        f"; {others[0]} is the runner-up" * bool(others)
    )
    text += ". The time is that of one image on one thread of this machine, in 32-bit floats."
    report.table("Networks", header, rows, text)


def _learning_curve(report: Report, curve: LearningCurve, labels: list[str]) -> None:
    shares = list(curve.correct)
    recalls = zip(*map(curve.recalls, shares), strict=True)
    rows = [["all", *(float(curve.correct[share].mean()) for share in shares)]]
    rows += [[label, *of_label] for label, of_label in zip(labels, recalls, strict=True)]
    header = ["found of", *(f"with {share:.0%} of the labels" for share in shares)]
    text = f"By cross-validation of the frozen network: {curve.describe(labels)}."
    report.table("Learning curve", header, rows, text)


def _best_so_far(trials: list[Trial]) -> Figure:
    figure = Figure(figsize=(8, 2.4), layout="tight")
    axes = figure.subplots()
    done = [(n, t.validation_loss) for n, t in enumerate(trials, 1) if t.outcome != FAILED]
    failed = [n for n, t in enumerate(trials, 1) if t.outcome == FAILED]
    numbers, losses = zip(*done, strict=True)
    lowest = [min(losses[: n + 1]) for n in range(len(losses))]
    axes.plot(numbers, losses, "o", markersize=4, color="C0", alpha=0.6, label="trial")
    axes.step(numbers, lowest, where="post", color="C1", label="lowest so far")
    axes.plot(failed, [max(losses)] * len(failed), "x", color="C3")
    axes.set(xlabel="trial", ylabel="validation loss", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def _parallel_coordinates(ranked: list[Trial], space: SearchSpace) -> Figure:
    done = [trial for trial in ranked if trial.outcome != FAILED]
    dimensions = space.searched()
    figure = Figure(figsize=(9, 3), layout="tight")
    axes = figure.subplots()
    losses = [math.log(max(trial.validation_loss, 1e-9)) for trial in done]
    for place, trial in reversed(list(enumerate(done))):
        point = to_point(trial.hyperparameters, space)
        heights = [_plot_height(of, point[name]) for name, of in dimensions.items()]
        heights.append(_share(losses[place], min(losses), max(losses)))
        shade = 1 - place / max(1, len(done) - 1)
        axes.plot(heights, color="C0", alpha=0.15 + 0.85 * shade, linewidth=1 + 1.5 * shade)
    for number, (name, of) in enumerate(dimensions.items()):
        values = [cast_value(name, value) for value in of.values()]
        ends = [(values[0], -0.03), (values[-1], 1.03)] if len(values) > 1 else [(values[0], 0.55)]
        for value, height in ends:
            axes.text(number, height, f"{value}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(dimensions) + 1), [*dimensions, "loss (log)"])
    axes.set(yticks=[], ylim=(-0.08, 1.08))
    axes.grid(axis="x", color="grey", alpha=0.4)
    axes.spines[:].set_visible(False)
    return figure


def _plot_height(of: Range | Choice, place: float) -> float:
    if isinstance(of, Choice):
        return _share(place, 0, len(of.choices) - 1)
    if of.step:
        return _share(place * of.step, 0, of.high - of.low)
    if of.scale == "log":
        return _share(math.log(place), math.log(of.low), math.log(of.high))
    return _share(place, of.low, of.high)


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high <= low else (value - low) / (high - low)
