"""What the report of a registration shows."""

from mlflow.entities.model_registry import ModelVersion

from steps.pipeline.outputs import TrainOutputs
from steps.pipeline.report import Report


def fill_report(report: Report, version: ModelVersion, trained: TrainOutputs) -> None:
    """Add the version and its test metrics."""
    report.headline("model", version.name)
    report.headline("version", version.version)
    report.table("Test metrics", ["metric", "value"], trained.metrics.items())
