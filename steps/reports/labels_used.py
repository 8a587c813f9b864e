"""Part of the report of train: whose labels it used, and which of them may be wrong."""

from collections import Counter

from steps.audit.audit import Audit
from steps.audit.left_out import BLOCK
from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.split import SPLITS
from steps.ingestion.class_names import class_names
from steps.ingestion.label_rows import current_labels
from steps.landing.place import display
from steps.pipeline.report import Report
from steps.settings.profile import Profile

SUSPECTS = 12
ELSEWHERE = "name, folder or SQL"
PROPOSAL = "proposal"


def add_labels_used(report: Report, profile: Profile, cache: Cache, audit: Audit) -> None:
    """Show the labels by how and by whom they were given, and the images to look at again."""
    rows = current_labels(profile)
    counts: Counter[tuple[str, str]] = Counter()
    for split in SPLITS:
        for group in read_row_groups(cache, split, ["sha256", "label"]):
            for sha256, label in zip(group.sha256, group.label, strict=True):
                row = rows.get(sha256, {"label": None})
                is_by_row = row["label"] == cache.labels[label]
                counts[(row["how"], row["labeller"]) if is_by_row else (ELSEWHERE, "–")] += 1
    names = {label: f"{label} ({one.name})" for label, one in class_names(profile).items()}
    proposals = sum(count for (how, _), count in counts.items() if how == PROPOSAL)
    text = f"Of {counts.total()} labels, {proposals} were proposed by a model and accepted."
    named = ", ".join(names[label] for label in cache.labels if label in names)
    table = [[how, labeller, count] for (how, labeller), count in counts.most_common()]
    text += f" The labels are {named}." if named else ""
    report.table("Labels used", ["how", "labeller", "images"], table, text)
    kinds = (kind for kind in (BLOCK, "hour", "day") if kind in audit.left_out)
    if not (kind := next(kinds, None)):
        return
    found = audit.left_out[kind]
    suspects = [
        [
            display(str(found.paths[index])),
            names.get(found.truth[index], found.truth[index]),
            names.get(found.predicted[index], found.predicted[index]),
            float(found.probabilities[index, found.labels.index(found.truth[index])]),
        ]
        for index in found.worst(SUSPECTS)
    ]
    if suspects:
        header = ["image", "label", "predicted", "probability of the label"]
        text = (
            f"Images whose label is the least probable to a classifier that saw no image of their "
            f"{kind}. Look at them again: the label may be wrong, or the image is hard."
        )
        report.table("Labels that may be wrong", header, suspects, text)
