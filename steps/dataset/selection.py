"""The parameters that say which images a network learns from, and how they are parted."""

from pydantic import Field

from steps.pipeline.outputs import IngestOutputs, Selection
from steps.settings.parameters import StepParameters


class SelectionParameters(StepParameters):
    """Parameters shared by the steps that read images for a network."""

    input_size: int = Field(128, ge=32, le=1024, description="side of the network's input, pixels")
    block_minutes: int = Field(
        60, ge=1, description="the split goes by blocks of so many minutes on one device"
    )
    guard_minutes: int = Field(
        6,
        ge=0,
        description="least minutes between images of two parts; those between are left out",
    )
    split_seed: int = Field(0, ge=0, description="another seed is another split")

    def selection(self, ingested: IngestOutputs) -> Selection:
        """The images of an ingest run, parted as these parameters say."""
        return Selection(
            table=ingested.table,
            table_id=ingested.table_id,
            version=ingested.version,
            source=ingested.source,
            input_size=(self.input_size, self.input_size),
            block_minutes=self.block_minutes,
            guard_minutes=self.guard_minutes,
            split_seed=self.split_seed,
        )
