"""What the report of inspect shows."""

from steps.pipeline.report import Report


def fill_report(report: Report, figures: dict[str, float]) -> None:
    """Add the figures of the pipeline's steps."""
    report.table("Figures", ["figure", "value"], figures.items())
