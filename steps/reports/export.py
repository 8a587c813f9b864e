"""What the report of an export shows."""

from steps.pipeline.outputs import ExportOutputs
from steps.pipeline.report import Report
from steps.release.package import Package


def fill_report(report: Report, outputs: ExportOutputs, package: Package, signed: bool) -> None:
    """Add the release, its files, and how they compare with Keras."""
    report.headline("released", outputs.line.partition(";")[0])
    report.headline("the release is", "signed" if signed else "not signed")
    report.headline("largest difference from Keras", f"{outputs.max_difference:.1e}")
    rows = []
    for name, sha256 in outputs.files.items():
        metrics = package.record.file_metrics.get(name, {})
        of_keras = [metrics.get(metric, "-") for metric in ("accuracy", "agreement")]
        rows.append([name, round(package.sizes[name] / 1024), *of_keras, sha256])
    header = ["file", "KiB", "accuracy", "agrees with Keras", "SHA-256"]
    report.table("Files", header, rows, f"On the {outputs.test_images} test images.")
