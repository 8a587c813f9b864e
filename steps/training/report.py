"""What the card of a training shows."""

import numpy as np
from PIL import Image

from steps.tracking.card import Card
from steps.training.cache import Cache
from steps.training.confounders import confounders
from steps.training.evaluation import Evaluation, pictures_of
from steps.training.fitted import Fitted
from steps.training.measures import bootstrap, wilson
from steps.training.slices import BRIGHT, NIGHT, Slice
from steps.training.split import GUARD, PARTS, TEST

MISTAKES = 12


def fill_card(
    card: Card,
    held_out: Evaluation,
    by_slice: list[Slice],
    fitted: Fitted,
    cache: Cache,
    peak_rate: float,
) -> None:
    """Accuracy and how sure it is, curves, confusion, labels, slices, the worst mistakes."""
    metrics = held_out.metrics()
    card.headline("held-out accuracy", f"{metrics['accuracy']:.1%}")
    card.headline("95 % interval", _interval(held_out))
    card.headline("held-out pictures", len(held_out.classes))
    card.headline("best epoch", f"{fitted.best + 1} of {len(fitted.epochs)}")
    if held_out.threshold is not None:
        card.headline(f"threshold for {held_out.labels[1]}", f"{held_out.threshold:.3f}")
    if found := confounders(cache):
        card.table(
            "What to beware of",
            ["goes with the label", "labels it names right", "chance"],
            [[one.kind, f"{one.told:.1%}", f"{one.chance:.1%}"] for one in found],
            " ".join(one.sentence for one in found),
        )
    card.plot(
        "Epochs",
        _curves(fitted, peak_rate),
        f"The learning rate warms up over the first epoch to {peak_rate:.2g} and follows half a "
        "cosine down; the weights kept are the last that are not worse on validation than the "
        "best by more than its standard error (dotted).",
    )
    card.table(
        "Confusion on the held-out part",
        ["label", *(f"said {label}" for label in held_out.labels)],
        [
            [label, *map(int, row)]
            for label, row in zip(held_out.labels, held_out.confusion(), strict=True)
        ],
    )
    card.table(
        "By label",
        ["label", "pictures", "recall", "95 % interval", "precision", "PR-AUC"],
        [_label_row(held_out, metrics, number) for number in range(len(held_out.labels))],
        f"Log loss {metrics['log_loss']:.4f}; expected calibration error "
        f"{metrics['calibration_error']:.4f}.",
    )
    card.table(
        "By slice",
        ["", "", "pictures", "accuracy", "95 % interval", "precision", "recall", "PR-AUC", "ECE"],
        [_slice_row(one) for one in by_slice],
        "Hours are UTC. Night: a mean brightness below "
        f"{NIGHT} of 255; bright: from {BRIGHT}. Precision, recall and PR-AUC are means over the "
        "labels that a slice has. Intervals here and above are Wilson's, as if each picture said "
        "something of its own. Neighbours do not: where there are mistakes, the interval at the "
        "top is drawn by whole hours.",
    )
    card.table(
        "The split",
        ["part", *cache.labels],
        [
            [part, *(cache.counts[part].get(label, 0) for label in cache.labels)]
            for part in (*PARTS, GUARD)
            if part in cache.counts
        ],
        "Whole blocks of time go to one part; pictures near a border (guard) are left out.",
    )
    if worst := held_out.worst(MISTAKES):
        pixels = pictures_of(cache, TEST, [held_out.paths[index] for index in worst])
        card.pictures(
            "The worst mistakes",
            [
                (_caption(held_out, index), Image.fromarray(pixels[held_out.paths[index]]))
                for index in worst
            ],
            "As the network saw them.",
        )


def _interval(held_out: Evaluation) -> str:
    """By blocks of an hour, unless nothing was wrong: then drawing blocks knows no spread."""
    right = held_out.right
    blocks = np.array([*map(str, held_out.captured_at.astype("datetime64[h]"))])
    bounds = None if right.all() else bootstrap(right.astype(float), blocks)
    return _span(*(bounds or wilson(int(right.sum()), len(right))))


def _span(low: float, high: float) -> str:
    return f"{low:.1%} – {high:.1%}"


def _label_row(held_out: Evaluation, metrics: dict[str, float], number: int) -> list:
    label, true = held_out.labels[number], held_out.classes == number
    if not true.any():
        return [label, 0, "–", "–", "–", "–"]
    return [
        label,
        int(true.sum()),
        round(metrics[f"recall_{label}"], 4),
        _span(*wilson(int(held_out.right[true].sum()), int(true.sum()))),
        round(metrics[f"precision_{label}"], 4),
        round(metrics[f"pr_auc_{label}"], 4),
    ]


def _slice_row(one: Slice) -> list:
    numbers = [one.precision, one.recall, one.pr_auc, one.calibration_error]
    return [
        one.kind,
        one.value,
        one.pictures,
        round(one.accuracy, 4),
        _span(one.low, one.high),
        *(round(number, 4) for number in numbers),
    ]


def _caption(held_out: Evaluation, index: int) -> str:
    said = held_out.predicted[index]
    return (
        f"{held_out.labels[held_out.classes[index]]}, said {held_out.labels[said]} "
        f"({held_out.probabilities[index, said]:.0%}) · {held_out.paths[index].rsplit('/', 1)[-1]}"
    )


def _curves(fitted: Fitted, peak_rate: float):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(fitted.epochs) + 1)
    figure = Figure(figsize=(9.5, 2.6))
    losses, accuracy, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    losses.plot(epochs, [e["loss"] for e in fitted.epochs], label="training")
    losses.plot(epochs, [e["validation_loss"] for e in fitted.epochs], label="validation")
    losses.set_ylabel("loss")
    losses.set_yscale("log")
    losses.legend(frameon=False)
    accuracy.plot(epochs, [e["validation_accuracy"] for e in fitted.epochs], color="C1")
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_ylim(top=1.005)
    rate.plot(epochs, [e["learning_rate"] for e in fitted.epochs], color="grey")
    rate.set_ylim(0, peak_rate * 1.05)
    rate.set_ylabel("learning rate")
    for axes in (losses, accuracy, rate):
        axes.axvline(fitted.best + 1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
