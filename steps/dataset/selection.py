"""The parameters that say which images a network learns from, and how they are split."""

import logging
import os
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from edge.inference.prediction import UNSURE
from edge.inference.region import OTHER_DEVICES, Region
from steps.dataset.split import SplitRule
from steps.environment import NESTED
from steps.errors import UserError
from steps.ingestion import labelled
from steps.ingestion.counts import describe_classes
from steps.pipeline.outputs import IngestOutputs, Selection
from steps.settings.parameters import StepParameters

logger = logging.getLogger("steps")

USUAL = SplitRule()

INPUT_TAGS = {"ingest": labelled.TAG}
"""What a step that selects images reads of a run of ingest."""


class NetworkInput(NamedTuple):
    """A network, and how selected images are prepared for it.

    Attributes:
        network: its name.
        input_size: width and height of its input, pixels.
        resizing: squash or crop.
    """

    network: str
    input_size: int
    resizing: str


RegionText = Annotated[str, AfterValidator(lambda text: text and str(Region.of(text.split(","))))]
"""A region with commas between its numbers; empty: none."""


class SelectionParameters(StepParameters):
    """Parameters shared by the steps that read images for a network."""

    input_size: int | None = Field(
        None,
        ge=32,
        le=1024,
        description="width and height of the network's input, pixels; none: the network's usual",
    )
    resizing: Literal["auto", "squash", "crop"] = Field(
        "auto",
        description="how an image becomes square: squash all of it, crop to its centre, or auto: "
        "as tune finds better",
    )
    region: RegionText = Field(
        "",
        description="part of an image that counts, as x,y,width,height in fractions of it, such as "
        "0.25,0.5,0.5,0.25; for each device that has none in the profile",
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
        description="folder in or beside the source, or value of the column split, whose images "
        "are the test set, if a set brings a split of its own that calls it otherwise than test",
    )
    split_seed: int = Field(USUAL.seed, ge=0, description="another seed gives another split")

    def selection(
        self, ingested: IngestOutputs, way: NetworkInput, regions: dict[str, Region]
    ) -> Selection:
        """Return the selection of an ingest run's images that these parameters make.

        Args:
            ingested: by that run.
            way: how the images are prepared.
            regions: of the profile, by device ID.

        Raises:
            UserError: the images have fewer than two labels, or one that no model can answer.
        """
        if len(ingested.labels) < 2:
            raise labelled.too_few_labels(ingested.images, ingested.labels, ingested.source)
        if UNSURE in ingested.labels:
            raise UserError(
                f"{ingested.labels[UNSURE]} images have the label {UNSURE!r}, which is what a "
                "model answers that is not sure enough; give that label another name"
            )
        if NESTED not in os.environ:
            logger.info("%s", describe_classes(ingested))
        names = set(Selection.model_fields) - set(NetworkInput._fields)
        values = ingested.model_dump(include=names) | self.model_dump(include=names)
        if self.region:
            regions = regions | {OTHER_DEVICES: Region.of(self.region.split(","))}
        return prepared_for(way, Selection(**values, regions=regions, input_size=(0, 0)))


def prepared_for(way: NetworkInput, selection: Selection) -> Selection:
    """Return a selection of the same images, prepared in another way."""
    size = (way.input_size, way.input_size)
    return selection.model_copy(update={"input_size": size, "resizing": way.resizing})


def block_rule(selection: Selection) -> SplitRule:
    """Return the rule of a selection's blocks of time, which cross-validation holds out whole."""
    return SplitRule(selection.block_minutes, seed=selection.split_seed)
