"""What the report of a scoring shows."""

from collections import Counter
from collections.abc import Iterable

from steps.pipeline.outputs import ScoreOutputs
from steps.pipeline.report import Report

REASONS_SHOWN = 20


def fill_report(
    report: Report,
    outputs: ScoreOutputs,
    groups: Iterable[tuple[int, str | None, str | None, int, int]],
) -> None:
    """Add the counts by label, and the reasons why images were not scored.

    Args:
        report: the report.
        outputs: of the step.
        groups: model version, label, reason, and numbers of images and of unsure ones.
    """
    report.headline("scored", outputs.scored)
    report.headline("unreadable", outputs.unreadable)
    report.headline("model", f"{outputs.model} {outputs.model_version}")
    by_label: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    unsure: Counter[tuple[str, str]] = Counter()
    for version, label, reason, count, of_them_unsure in groups:
        by_label[str(version), label or "none"] += count
        unsure[str(version), label or "none"] += of_them_unsure
        if reason is not None:
            reasons[reason] += count
    rows = [[*key, count, unsure[key]] for key, count in sorted(by_label.items())]
    report.table("By label", ["version", "label", "images", "unsure"], rows)
    if reasons:
        rows = [list(row) for row in reasons.most_common(REASONS_SHOWN)]
        report.table("Not scored", ["reason", "images"], rows)
