"""What the card of a training shows."""

import numpy as np
from PIL import Image

from steps.tracking.card import Card
from steps.training.cache import Cache
from steps.training.evaluation import Evaluation, pictures_of
from steps.training.fit import Fitted
from steps.training.split import TEST

MISTAKES = 12
NIGHT = 40
"""Mean brightness (0–255) below which a picture counts as one of the night."""


def fill_card(card: Card, held_out: Evaluation, fitted: Fitted, cache: Cache) -> None:
    """Accuracy, curves, confusion, day and night, and the worst mistakes."""
    metrics = held_out.metrics()
    card.headline("held-out accuracy", f"{metrics['accuracy']:.1%}")
    card.headline("held-out pictures", len(held_out.classes))
    card.headline("best epoch", f"{fitted.best + 1} of {len(fitted.epochs)}")
    card.plot("Epochs", _curves(fitted))
    card.table(
        "Confusion on the held-out part",
        ["label", *(f"said {label}" for label in held_out.labels), "recall"],
        [
            [label, *map(int, row), round(metrics[f"recall_{label}"], 4)]
            for label, row in zip(held_out.labels, held_out.confusion(), strict=True)
        ],
    )
    right = held_out.predicted == held_out.classes
    night = held_out.brightness < NIGHT
    card.table(
        "Day and night",
        ["light", "pictures", "accuracy"],
        [
            [name, int(which.sum()), round(float(right[which].mean()), 4)]
            for name, which in (("day", ~night), ("night", night))
            if which.any()
        ],
        f"Night: a mean brightness below {NIGHT} of 255.",
    )
    card.table(
        "The split",
        ["part", *cache.labels],
        [[part, *(n.get(label, 0) for label in cache.labels)] for part, n in cache.counts.items()],
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


def _caption(held_out: Evaluation, index: int) -> str:
    said = held_out.predicted[index]
    return (
        f"{held_out.labels[held_out.classes[index]]}, said {held_out.labels[said]} "
        f"({held_out.probabilities[index, said]:.0%}) · {held_out.paths[index].rsplit('/', 1)[-1]}"
    )


def _curves(fitted: Fitted):
    from matplotlib.figure import Figure

    epochs = np.arange(1, len(fitted.epochs) + 1)
    figure = Figure(figsize=(8, 2.6))
    losses, accuracy = figure.subplots(1, 2)
    losses.plot(epochs, [e["loss"] for e in fitted.epochs], label="training")
    losses.plot(epochs, [e["validation_loss"] for e in fitted.epochs], label="validation")
    losses.set_ylabel("loss")
    losses.legend(frameon=False)
    accuracy.plot(epochs, [e["validation_accuracy"] for e in fitted.epochs], color="C1")
    accuracy.set_ylabel("validation accuracy")
    for axes in (losses, accuracy):
        axes.axvline(fitted.best + 1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
