"""How often the accuracy that train expects of a network holds on a day that it has not seen.

    python -m benchmarks.expectation --cameras 20

Each simulated camera takes an image every half hour for some days, and one every ten minutes for
one more. A classifier of the frozen backbone's features is trained on the first days, and its
accuracy on the last is compared with the interval that the audit gives: by days that were left out
in turn, as for a frozen network, and by the test split, as for one that trains all its layers. The
last line is JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.machine import machine
from edge.cameras.camera import CameraSettings
from edge.cameras.simulated import SimulatedCamera
from edge.inference.prepare import prepare
from steps.audit.expectation import Expectation, expect
from steps.audit.left_out import predict_groups
from steps.dataset.split import TEST, SplitRule
from steps.evaluation.predictions import Predictions, blocks_of
from steps.training.feature_cache import Source, compute_features
from steps.training.head import PRIOR

SIDE = 128
START = datetime(2026, 7, 13, 0, 15)
LABELS = ["0", "1"]


def main() -> None:
    """Compare what is expected with what is found, for each camera."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--days", type=int, default=10)
    options = parser.parse_args()
    print(machine(), flush=True)
    covered: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    with ProcessPoolExecutor(1) as pool:  # a process of its own keeps TensorFlow's memory
        for seed in range(options.cameras):
            truth, expected = pool.submit(measure, seed, options.days).result()
            for how, one in expected.items():
                covered.setdefault(how, []).append(bool(one.low <= truth <= one.high))
                widths.setdefault(how, []).append(one.high - one.low)
            said = "; ".join(f"by {how}: {one}" for how, one in expected.items())
            print(f"camera {seed}: {truth:.3f} on the unseen day; {said}", flush=True)
    result = {f"covered by {how}": int(sum(found)) for how, found in covered.items()}
    result |= {f"width by {how}": round(float(np.median(w)), 3) for how, w in widths.items()}
    print(json.dumps({"cameras": options.cameras} | result))


def measure(seed: int, days: int) -> tuple[float, dict[str, Expectation]]:
    """Return a camera's accuracy on the unseen day, and what was expected of it."""
    images, features = take(seed, days)
    later, unseen = take(seed, 1, START + timedelta(days=days), minutes=10)
    deviation = np.maximum(features.std(axis=0), 1e-3)
    matrix, other = ((one - features.mean(axis=0)) / deviation for one in (features, unseen))
    truth = (fit(matrix, images).predict(other) == later["label"]).mean()
    captures = zip(images["captured_at"], images["device"], images["sha256"], strict=True)
    tests = np.array(SplitRule().assign(list(captures))) == TEST
    probabilities = fit(matrix[~tests], images[~tests]).predict_proba(matrix[tests])
    test = predictions(images[tests], probabilities)
    left_out = predict_groups(matrix, images, "day", LABELS)
    return float(truth), {"days": expect(test, images, left_out), "test": expect(test, images)}


def fit(matrix: np.ndarray, images: pd.DataFrame):
    """Return the classifier of features that :mod:`steps.audit.left_out` fits."""
    from sklearn.linear_model import LogisticRegression

    head = LogisticRegression(C=PRIOR, class_weight="balanced", max_iter=200)
    return head.fit(matrix, images["label"])


def predictions(images: pd.DataFrame, probabilities: np.ndarray) -> Predictions:
    """Return predictions for some images."""
    names = ("label", "sha256", "path", "device", "captured_at", "brightness")
    return Predictions(LABELS, probabilities, *(images[name].to_numpy() for name in names))


def take(
    seed: int, days: int, start: datetime = START, minutes: int = 30
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a camera's images, as the audit describes them, and their features."""
    rows, pixels = zip(*frames(seed, days, start, minutes), strict=True)
    images = pd.DataFrame(rows)
    images["block"] = blocks_of(
        images["captured_at"].to_numpy("datetime64[us]"), images["device"], images["sha256"]
    )
    source = Source("efficientnet_lite0", (SIDE, SIDE), 0)
    return images, compute_features(source, np.stack(pixels), 1, seed)


def frames(
    seed: int, days: int, start: datetime, minutes: int
) -> Iterator[tuple[dict[str, object], np.ndarray]]:
    """Yield what is known of each frame, and its prepared pixels."""
    settings = CameraSettings(period=timedelta(minutes=minutes), start=start, seed=seed)
    for number, frame in enumerate(SimulatedCamera(settings).frames(days * 24 * 60 // minutes)):
        prepared = prepare(frame.pixels, (SIDE, SIDE))
        time = frame.captured_at.replace(tzinfo=None)
        known = {"label": frame.label, "sha256": f"{number:064x}", "path": f"{number}.jpg"}
        known |= {"captured_at": time, "day": f"{time:%Y-%m-%d}", "device": "1", "split": "train"}
        yield known | {"brightness": prepared.mean()}, prepared


if __name__ == "__main__":
    main()
