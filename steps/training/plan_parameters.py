"""The parameters that say how a network trains, and the plan that they make."""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from steps.dataset.selection import SelectionParameters
from steps.training.networks import NETWORKS, validate_network
from steps.training.plan import Plan, Precision

DEFAULT = Plan()


class NetworkParameters(SelectionParameters):
    """Parameters shared by the steps that train networks."""

    network: Annotated[str, AfterValidator(validate_network)] | None = Field(
        None, description=f"{', '.join(NETWORKS)}; none: of the search space, or {DEFAULT.network}"
    )


class PlanParameters(NetworkParameters):
    """Parameters of the step that trains a network. None: as tuned, or the default."""

    weights: str = Field(DEFAULT.weights, description="initial weights: none, imagenet, or a file")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Adam's highest, for a batch of 16: it grows with the square root of the "
        f"batch; none: as tuned, or {DEFAULT.learning_rate:g}",
    )
    width: float | None = Field(
        None, gt=0, description=f"multiplies channels; none: as tuned, or {DEFAULT.width:g}"
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description=f"0–1; none: as tuned, or {DEFAULT.dropout:g}"
    )
    augmentation: float | None = Field(
        None,
        ge=0,
        le=3,
        description=f"its strength, 0 is none; none: as tuned, or {DEFAULT.augmentation:g}",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description=f"images per batch, over all ranks; none: as tuned, or {DEFAULT.batch_size}",
    )
    epochs: int = Field(DEFAULT.epochs, ge=1, description="passes over the training split, at most")
    epoch_steps: int = Field(
        DEFAULT.epoch_steps,
        ge=1,
        description="steps of an epoch, at least: it reads few images several times",
    )
    patience: int = Field(
        DEFAULT.patience,
        ge=0,
        description="epochs without a lower validation loss that end the training; 0: never",
    )
    class_weights: bool = Field(
        DEFAULT.class_weights, description="each class counts the same, however rare"
    )
    precision: Precision = Field(
        DEFAULT.precision, description="float32, mixed_float16, or auto: mixed if there is a GPU"
    )
    seed: int = Field(DEFAULT.seed, ge=0, description="of weights, order, augmentation and dropout")

    def plan(self, tuned: dict[str, Any]) -> Plan:
        """Return the plan: parameters that are set replace tuned ones, and these the defaults."""
        names = {field.name for field in fields(Plan)} & set(PlanParameters.model_fields)
        return Plan(**(tuned | self.model_dump(include=names, exclude_none=True)))
