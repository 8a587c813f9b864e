"""What the report of train shows of the shortcut audit."""

import numpy as np
from PIL import Image

from steps.audit.audit import Audit
from steps.audit.occlusion import OcclusionMap
from steps.evaluation.predictions import Predictions
from steps.evaluation.slices import slices
from steps.pipeline.report import Report

SLICES = 40
OPACITY = 0.5
BLUE, YELLOW = np.array([0, 34, 78]), np.array([254, 232, 56])
"""The ends of the colour map cividis."""


def add_cues(report: Report, audit: Audit) -> None:
    """Add how well each cue predicts the label, and which shortcuts the network follows."""
    header = ["besides the object", "predicts the label", "chance", "p", "the network follows"]
    rows = [
        [
            cue.kind,
            f"{cue.predictability:.1%}",
            f"{cue.chance:.1%}",
            f"{cue.p_value:.3f}",
            str(audit.followed.get(cue.kind, "–")),
        ]
        for cue in audit.cues
    ]
    shortcuts = [cue.sentence for cue in audit.cues if cue.is_shortcut]
    if shortcuts:
        shortcuts.append(
            "The network may have learned that instead of the object, and the test set, which has "
            "the same shortcut, shows it only where the two disagree."
        )
    explained = (
        "How often a decision tree that sees nothing but the cue finds the label of images that "
        "are held out, as the mean over the labels. From half-way between chance and 100 % it is a "
        "shortcut. File names and the area outside a region are shown for what they tell of the "
        "set; a network does not see them."
    )
    report.table("Shortcuts", header, rows, " ".join([*shortcuts, explained]))


def add_left_out(report: Report, audit: Audit) -> None:
    """Add the accuracy in each day, hour and device without which the classifier was fitted."""
    found = [
        one
        for kind, predictions in audit.left_out.items()
        for one in slices(predictions)
        if one.kind == kind
    ]
    header = ["left out", "", "images", "accuracy", "95 % interval"]
    rows = [
        [one.kind, one.value, one.images, one.accuracy, f"{one.low:.1%} – {one.high:.1%}"]
        for one in sorted(found, key=lambda one: one.accuracy)[:SLICES]
    ]
    text = (
        "The worst first: images of the training and the validation split, classified by the same "
        "features if whole days, hours or devices, a fifth at a time, are left out of the training."
    )
    if rows:
        report.table("Days, hours and devices left out", header, rows, text)


def add_maps(report: Report, audit: Audit, test: Predictions) -> None:
    """Add images in which yellow is what the answer depends on."""
    images = [
        (
            f"{test.truth[index]}, predicted {test.predicted[index]}",
            _overlay(one),
            test.sha256[index],
        )
        for index, one in audit.maps.items()
    ]
    text = (
        "Yellow: if this part is hidden, the predicted label is less probable, the more the "
        "brighter; dark blue: it is not. Yellow should be the object. The images are shown in "
        f"grey. {audit.surroundings}"
    )
    report.images("What the answer depends on", images, text)


def _overlay(one: OcclusionMap) -> Image.Image:
    """Return a grey image below a map from dark blue to yellow, which colour-blind people read."""
    height, width = one.pixels.shape[:2]
    shares = np.clip(one.drops, 0, None) / max(one.drops.max(), 1)
    drops = Image.fromarray(shares.astype(np.float32))
    share = np.asarray(drops.resize((width, height), Image.Resampling.BILINEAR))[..., None]
    grey = np.asarray(Image.fromarray(one.pixels).convert("L"))[..., None]
    mixed = grey * (1 - OPACITY) + (BLUE + (YELLOW - BLUE) * share) * OPACITY
    return Image.fromarray(mixed.round().astype(np.uint8))
