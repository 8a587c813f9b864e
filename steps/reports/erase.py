"""What the report of erase shows: counts, and nothing of the images."""

from steps.pipeline.outputs import EraseOutputs
from steps.pipeline.report import Report


def fill_report(report: Report, outputs: EraseOutputs) -> None:
    """Add what was, or would be, removed by place."""
    report.headline("images", outputs.images)
    text = "Networks that learned from the images stay as they are until the next training."
    report.table("Removed", ["where", "count"], outputs.removed.items(), text)
