"""What the report of a scoring shows."""

import pandas as pd

from steps.pipeline.outputs import ScoreOutputs
from steps.pipeline.report import Report

REASONS_SHOWN = 20


def fill_report(
    report: Report,
    outputs: ScoreOutputs,
    groups: list[tuple[int, str | None, str | None, int, int]],
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
    header = ["version", "label", "reason", "images", "unsure"]
    counts = pd.DataFrame(groups, columns=header).astype({"version": str})
    counts = counts.fillna({"label": "none"})
    by_label = counts.groupby(["version", "label"])[["images", "unsure"]].sum().reset_index()
    report.table("By label", [*by_label.columns], by_label.to_numpy().tolist())
    reasons = counts.groupby("reason")["images"].sum().sort_values(ascending=False)
    if not reasons.empty:
        report.table(
            "Not scored", ["reason", "images"], reasons.head(REASONS_SHOWN).to_dict().items()
        )
