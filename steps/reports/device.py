"""What the report of a device's scores shows."""

from typing import Any

from steps.pipeline.outputs import DeviceOutputs
from steps.pipeline.report import Report


def fill_report(report: Report, outputs: DeviceOutputs, rows: list[dict[str, Any]]) -> None:
    """Add the model, and each frame with its score."""
    report.headline("frames", outputs.frames)
    report.headline("model", f"{outputs.model} {outputs.model_version}")
    report.table("Scored on the device", list(rows[0]), [row.values() for row in rows])
