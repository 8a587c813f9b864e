"""What makes an image worth a label, besides its features: scores, doubts, the device that kept it.

Each function returns the numbers of some images, the first to label first, and by number why.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from edge.protocol.landing_names import KEPT_FOR
from steps.dataset.split import SplitRule
from steps.ingestion.tables import IMAGES, SCORES, TIME
from steps.labelling.sitting import Sitting
from steps.lake.delta_log import DeltaLog
from steps.lake.newest import read_newest

Reasoned = tuple[NDArray[np.intp], dict[int, str]]

SCORED = pa.schema(
    [(name, pa.string()) for name in ("sha256", "model", "model_version", "label")]
    + [("scored_at", TIME)]
    + [("probabilities", pa.map_(pa.string(), pa.float64()))]
)
EXIF = pa.schema([("exif", pa.map_(pa.string(), pa.string()))])

KEPT = {
    "manual_trigger": "someone asked for it",
    "motion": "something moved",
    "uncertain": "its model was unsure",
    "control": "drawn at random, as a control",
    "period": "one of a fixed period",
}
"""Why a device kept an image, the most important first, and how the page says it."""

MOST_LEARNED = 2000
"""Labelled images that the heads of *disagreement* learn from, so that they take seconds."""


def scored_margins(sitting: Sitting) -> Reasoned:
    """Return the images that were scored, the smallest margin of the newest score first."""
    images = sitting.state.images
    rows = read_newest(SCORES.path(sitting.profile), SCORED, pc.field("label").is_valid())
    rows = rows.sort_by("scored_at").select(["sha256", "model", "model_version", "probabilities"])
    found: dict[int, float] = {}
    reasons: dict[int, str] = {}
    for row in rows.to_pylist():
        likely = sorted(row["probabilities"] or [], key=lambda pair: -pair[1])
        number = images.find(row["sha256"])
        if number is None or len(likely) < 2:
            continue
        found[number] = likely[0][1] - likely[1][1]
        both = " or ".join(f"{label} {share:.0%}" for label, share in likely[:2])
        reasons[number] = f"{row['model']} {row['model_version']}: {both}"
    return np.array(sorted(found, key=lambda number: (found[number], number)), np.intp), reasons


def doubted_labels(sitting: Sitting) -> Reasoned:
    """Return the labelled images, the label first that is the least probable to a classifier.

    It is a linear head on features that was fitted without the images of the same hour, as for
    the report of train.
    """
    from steps.training.cross_validation import cross_validate
    from steps.training.feature_cache import Features

    images, codes = sitting.state.images, sitting.state.codes
    numbers, values = sitting.features.values(images, np.flatnonzero(codes >= 0))
    known, classes = np.unique(codes[numbers], return_inverse=True)
    if len(known) < 2 or len(known) == len(numbers):  # of no class is there another image
        return np.empty(0, np.intp), {}
    rows = images.columns.take(pa.array(numbers))
    names = ("captured_at", "device", "sha256")
    captures = list(zip(*(rows[name].to_pylist() for name in names), strict=True))
    drawn = np.random.default_rng(0).permutation(len(numbers)) < MOST_LEARNED
    found = cross_validate(Features(values, classes.astype("i4"), captures), SplitRule(), drawn)
    of_label = found[np.arange(len(classes)), classes]
    labels = [sitting.classes[code] for code in known]
    reasons = {
        int(numbers[at]): f"labelled {labels[classes[at]]}; by the images of other hours, "
        f"{labels[found[at].argmax()]} {found[at].max():.0%}"
        for at in np.flatnonzero(found.argmax(axis=1) != classes)
    }
    return numbers[np.argsort(of_label, kind="stable")], reasons


def kept_by_devices(sitting: Sitting) -> Reasoned:
    """Return the images whose EXIF says why a device kept them; the newest of a reason first."""
    images = sitting.state.images
    files, rows = (images.columns[name].to_numpy() for name in ("file", "row"))
    log, why = DeltaLog(IMAGES.path(sitting.profile)), {}
    for number in np.unique(files):
        exif = log.read_rows([images.files[number]], EXIF, pc.scalar(True))["exif"]
        described = pc.map_lookup(exif.combine_chunks(), "ImageDescription", "first").to_pylist()
        for image in np.flatnonzero(files == number):
            if (text := described[rows[image]]) and text.startswith(KEPT_FOR):
                why[int(image)] = text.removeprefix(KEPT_FOR)
    ranks = [*KEPT]
    first = sorted(why, key=lambda n: (ranks.index(why[n]) if why[n] in KEPT else 2, -n))
    devices, of_image = images.devices
    reasons = {n: f"{devices[of_image[n]]} kept it: {KEPT.get(why[n], why[n])}" for n in first}
    return np.array(first, np.intp), reasons
