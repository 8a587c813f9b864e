"""The parameters that say which images a network learns from, and how they are split."""

import logging
from typing import Literal

from pydantic import Field

from steps.dataset.split import SplitRule
from steps.ingestion import labelled
from steps.ingestion.counts import describe_classes
from steps.pipeline.outputs import IngestOutputs, Selection
from steps.settings.parameters import StepParameters

logger = logging.getLogger("steps")

USUAL = SplitRule()

INPUT_TAGS = {"ingest": labelled.TAG}
"""What a step that selects images reads of a run of ingest."""


class SelectionParameters(StepParameters):
    """Parameters shared by the steps that read images for a network."""

    input_size: int = Field(
        128, ge=32, le=1024, description="width and height of the network's input, pixels"
    )
    resizing: Literal["squash", "crop"] = Field(
        "squash",
        description="how an image becomes square: squash all of it, or crop to its centre",
    )
    block_minutes: int = Field(
        USUAL.block_minutes,
        ge=1,
        description="the split assigns blocks of so many minutes on one device",
    )
    guard_minutes: int = Field(
        USUAL.guard_minutes,
        ge=0,
        description="minutes between images of two splits, at least; images between are left out",
    )
    test: str = Field(
        "",
        description="folder, or value of the column split, whose images are the test set, if the "
        "images bring a split of their own that calls it otherwise than test",
    )
    split_seed: int = Field(USUAL.seed, ge=0, description="another seed gives another split")

    def selection(self, ingested: IngestOutputs) -> Selection:
        """Return the selection of an ingest run's images that these parameters make.

        Raises:
            UserError: the images have fewer than two labels.
        """
        if len(ingested.labels) < 2:
            raise labelled.too_few_labels(ingested.images, ingested.labels, ingested.source)
        logger.info("%s", describe_classes(ingested))
        names = set(Selection.model_fields)
        values = ingested.model_dump(include=names) | self.model_dump(include=names)
        return Selection(**values | {"input_size": (self.input_size, self.input_size)})
