"""The record of a trained network."""

from typing import Any

from edge.inference.prepare import PREPARE_VERSION
from edge.inference.record import ModelRecord
from steps.pipeline.outputs import TrainOutputs


def make_record(trained: TrainOutputs, **fields: Any) -> ModelRecord:
    """Return the record of a run of train; ``fields`` are further fields of the record."""
    return ModelRecord(
        labels=trained.labels,
        input_size=trained.selection.input_size,
        resizing=trained.selection.resizing,
        regions=trained.selection.regions,
        prepare_version=PREPARE_VERSION,
        threshold=trained.threshold,
        threshold_label=trained.threshold_label,
        temperature=trained.temperature,
        offsets=trained.offsets,
        abstention=trained.abstention,
        **fields,
    )
