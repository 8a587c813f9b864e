"""A run as a notebook shows it."""

from dataclasses import dataclass
from html import escape
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from steps.interactive.store import use_store
from steps.pipeline.run_files import OUTPUTS_FILE, REPORT_FILE

FRAME = (
    '<iframe srcdoc="{}" style="width: 100%; height: 36rem; resize: vertical; '
    'border: 1px solid #8886; border-radius: 4px"></iframe>'
)
"""A page within a page: neither changes the other's style."""


@dataclass(frozen=True)
class ShownRun:
    """A run of a step in a tracking store; a notebook shows its report."""

    step: str
    run_id: str
    store: str

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the run."""
        use_store(self.store)
        return dict(mlflow.get_run(self.run_id).data.metrics)

    @property
    def outputs(self) -> dict[str, Any]:
        """The ``outputs.json`` of a finished run."""
        use_store(self.store)
        return dict(mlflow.artifacts.load_dict(f"runs:/{self.run_id}/{OUTPUTS_FILE}"))

    def _repr_html_(self) -> str:
        use_store(self.store)
        try:
            page = mlflow.artifacts.load_text(f"runs:/{self.run_id}/{REPORT_FILE}")
        except (MlflowException, OSError):  # it was refused before it began
            failure = mlflow.get_run(self.run_id).data.tags.get("failure", "it has no report")
            page = f"<pre>{escape(failure)}</pre>"
        return FRAME.format(escape(page))
