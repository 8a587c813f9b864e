"""The table of a step's stages, for the reports of the steps that time them."""

from steps.pipeline.report import Report


def add_stage_timings(report: Report, seconds: dict[str, float]) -> None:
    """Add a table of the seconds by stage."""
    rows = [[stage, round(spent, 1)] for stage, spent in seconds.items()]
    report.table("Seconds by stage", ["stage", "seconds"], rows)
