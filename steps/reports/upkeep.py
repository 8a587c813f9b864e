"""What the report of upkeep shows."""

from steps.pipeline.outputs import UpkeepOutputs
from steps.pipeline.report import Report


def fill_report(report: Report, outputs: UpkeepOutputs, retention_days: float) -> None:
    """Add what was erased, and how many files each table had and has."""
    if outputs.erased:
        report.table("Erased for their age", ["where", "count"], outputs.erased.items())
    rows = [(name, *files, outputs.versions[name]) for name, files in outputs.compacted.items()]
    text = f"Versions that were replaced more than {retention_days:g} days ago are deleted."
    report.table("Files", ["table", "before", "after", "version"], rows, text)
    space = [[what, f"{size:.1f}"] for what, size in outputs.megabytes.items()]
    freed = f"{sum(outputs.freed.values()):.1f} MB of the old versions are deleted by upkeep."
    report.table("Disk space before", ["what", "MB"], space, freed)
