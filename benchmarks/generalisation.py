"""What the defaults make of light that training has not met.

    python -m benchmarks.generalisation              # inside the training split, to choose by
    python -m benchmarks.generalisation --held-out   # on the test split, as evidence

The first leaves images out of the training split, trains on the rest, and counts the correct
predictions for those left out; the test split is not touched. Left out are in turn

- hours: every third hour of the day, of both labels, three times;
- light: one label's dark or bright images, so that by the light alone the other label is the
  likely one: the hardest case, since the label's own light was never seen;
- dusk: nothing; evaluated are the validation split's day images with less and less light, and a
  sensor's noise, as no image of the set has it.

``--set`` changes the plan of training: ``--set augmentation=2 dropout=0.2``. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.caches import write_part
from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from edge.inference.prepare import prepare
from steps.dataset.cache import Cache
from steps.dataset.split import TEST, TRAIN, VALIDATION, SplitRule
from steps.evaluation.predictions import keras_predict
from steps.training.fit import fit
from steps.training.fit_result import FitResult
from steps.training.model import build_model
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

SIDE = 128
DUSK = (0.7, 0.5, 0.35, 0.25, 0.18)
"""What is left of the light."""


@dataclass(frozen=True)
class Images:
    """Images of two labels with what splits them: an array each, in the same order."""

    pixels: np.ndarray
    labels: np.ndarray
    hours: np.ndarray
    parts: np.ndarray

    def of(self, chosen: np.ndarray) -> "Images":
        """Those for which ``chosen`` is true."""
        return Images(*(getattr(self, field.name)[chosen] for field in fields(self)))


def main() -> None:
    """Train for each case and print the share of correct predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--held-out", action="store_true", help="evaluate on the test split")
    parser.add_argument("--leave", nargs="+", default=["hours", "dusk"], help="hours, light, dusk")
    parser.add_argument("--split-seeds", type=int, nargs="+", help="default: 0, or 0 to 4")
    parser.add_argument("--block-minutes", type=int, default=60)
    parser.add_argument("--set", nargs="+", default=[], help="fields of Plan, as name=value")
    options = parser.parse_args()
    options.images = images_folder(options.images)
    seeds = options.split_seeds or (range(5) if options.held_out else [0])
    plan = replace(Plan(), **dict(map(_setting, options.set)))
    print(machine())
    print(plan, flush=True)
    right: dict[str, float] = {}
    evaluated = 0
    for seed in seeds:
        images = read(options.images, SplitRule(options.block_minutes, seed=seed))
        cases = held_out(images) if options.held_out else left_out(images, options.leave)
        for name, train, unseen in cases:
            validation = images.of(images.parts == VALIDATION)
            started = time.monotonic()
            found, fitted = train_and_predict(plan, train, validation, unseen)
            right[f"seed {seed} {name}"] = float(found.mean())
            evaluated += len(found)
            best = fitted.epochs[fitted.best]
            print(
                f"seed {seed}  {name:18} {found.mean():.4f} of {len(found):3}  "
                f"(trained on {len(train.labels)}, validation {best['validation_accuracy']:.3f} "
                f"in epoch {fitted.best + 1} of {len(fitted.epochs)}, "
                f"{time.monotonic() - started:.0f} s){mistakes(unseen, found)}",
                flush=True,
            )
    mean = round(statistics.mean(right.values()), 4)
    print(json.dumps({"mean": mean, "images": evaluated} | right))


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    kind = {field.name: field.type for field in fields(Plan)}[name]
    return name, kind(value)


def read(folder: Path, split: SplitRule) -> Images:
    """Return the prepared images, split as the steps split them."""
    paths = sorted(folder.glob("*.jpg"))
    names = [unquote(path.name) for path in paths]
    times = [datetime.fromisoformat(name[:19]) for name in names]
    devices = [name.split("_")[3] for name in names]
    return Images(
        np.stack([prepare(path, (SIDE, SIDE)) for path in paths]),
        np.array([int(path.stem[-1]) for path in paths], np.int32),
        np.array([time.hour for time in times]),
        np.array(split.assign(list(zip(times, devices, names, strict=True)))),
    )


def held_out(images: Images) -> Iterator[tuple[str, Images, Images]]:
    """Yield the training split and the test split."""
    yield "held-out", images.of(images.parts == TRAIN), images.of(images.parts == TEST)


def left_out(images: Images, kinds: list[str]) -> Iterator[tuple[str, Images, Images]]:
    """Yield a name, the images that train and those left out, all of the training split."""
    inside = images.of(images.parts == TRAIN)
    cases: list[tuple[str, np.ndarray]] = []
    if "hours" in kinds:
        places = np.searchsorted(np.unique(inside.hours), inside.hours)
        cases += [(f"hours {third + 1} of 3", places % 3 == third) for third in range(3)]
    if "light" in kinds:
        bright = inside.pixels.mean(axis=(1, 2, 3)) > inside.pixels.mean()
        for label in np.unique(inside.labels):
            own = inside.labels == label
            cases += [(f"dark ones of {label}", own & ~bright)]
            cases += [(f"bright ones of {label}", own & bright)]
    for name, left in cases:
        yield name, inside.of(~left), inside.of(left)
    if "dusk" in kinds:
        yield "dusk", inside, dusk(images.of(images.parts == VALIDATION))


def dusk(images: Images) -> Images:
    """Those by day, with each of ``DUSK`` of their light and noise of 3 of 255."""
    day = images.of(images.pixels.mean(axis=(1, 2, 3)) > 60)
    noise = np.random.default_rng(0).normal(0, 3, (len(DUSK), *day.pixels.shape))
    dim = np.stack([day.pixels * left for left in DUSK]) + noise
    return Images(
        np.clip(dim.round(), 0, 255).astype(np.uint8).reshape(-1, *day.pixels.shape[1:]),
        *(np.tile(of, len(DUSK)) for of in (day.labels, day.hours, day.parts)),
    )


def mistakes(unseen: Images, found: np.ndarray) -> str:
    """Return how many images of which label and hour were predicted wrongly."""
    of_labels = zip(unseen.labels[~found], unseen.hours[~found], strict=True)
    counted = sorted(Counter(of_labels).items())
    told = ", ".join(f"{count} of {label} at {hour:02} h" for (label, hour), count in counted)
    return f"\n    wrong: {told}" if told else ""


def train_and_predict(
    plan: Plan, train: Images, validation: Images, unseen: Images
) -> tuple[np.ndarray, FitResult]:
    """Train a network; return which of ``unseen`` it predicts correctly, and its training."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {TRAIN: train, VALIDATION: validation}
        groups = {
            part: write_part(Path(folder), part, of.pixels, of.labels) for part, of in parts.items()
        }
        counts = {
            part: {str(label): int((of.labels == label).sum()) for label in (0, 1)}
            for part, of in parts.items()
        }
        cache = Cache(folder, ["0", "1"], (SIDE, SIDE), groups, counts)
        fitted = fit(plan, cache, SingleProcess())
        model = build_model(plan, cache)
        model.set_weights(fitted.weights)
        predicted = keras_predict(model)(unseen.pixels).argmax(axis=1)
    return predicted == unseen.labels, fitted


if __name__ == "__main__":
    main()
