"""The parameters that say how a network trains, and the plan that they make."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from edge.inference.record import CROP, SQUASH
from steps.dataset.selection import NetworkInput, SelectionParameters
from steps.pipeline.outputs import TuneOutputs
from steps.training.networks import FROZEN, NETWORKS, sizes, validate_network
from steps.training.plan import Plan, Precision

DEFAULT = Plan()
AUTO = "auto"


def _validate_choice(network: str) -> str:
    return network if network == AUTO else validate_network(network)


class NetworkParameters(SelectionParameters):
    """Parameters shared by the steps that train networks."""

    network: Annotated[str, AfterValidator(_validate_choice)] = Field(
        AUTO, description=f"{', '.join(NETWORKS)}; auto: the best of the search space, by tune"
    )

    def network_inputs(self, networks: Iterable[str]) -> list[list[NetworkInput]]:
        """Return what competes: for each network, the ways to prepare its images, small first.

        Args:
            networks: of the search space. The frozen ones come first, since they cost least.
        """
        chosen = networks if self.network == AUTO else [self.network]
        ranked = sorted(dict.fromkeys(chosen), key=lambda name: name not in FROZEN)
        return [
            [
                NetworkInput(name, size, way)
                for size in ([self.input_size] if self.input_size else sizes(name))
                for way in self._resizings(name)
            ]
            for name in ranked
        ]

    def _resizings(self, network: str) -> list[str]:
        if self.resizing != AUTO:
            return [self.resizing]
        return [SQUASH, CROP] if network in FROZEN else [SQUASH]


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
        description="steps of an epoch, about, or more: it reads few images several times",
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
        """Return the plan: parameters that are set replace tuned ones, and these the defaults.

        Args:
            tuned: hyperparameters. Those of another network than is asked for do not count.
        """
        names = {field.name for field in fields(Plan)} & set(PlanParameters.model_fields)
        given = self.model_dump(include=names, exclude_none=True)
        if self.network == AUTO:
            del given["network"]
        elif tuned.get("network") != self.network:
            tuned = {}
        return Plan(**(tuned | given))

    def network_input(self, network: str, tuned: TuneOutputs | None) -> NetworkInput:
        """Return how images are prepared for a network: as given, as tuned, or as usual.

        Args:
            network: of the plan.
            tuned: the outputs of the search; None if there was none.
        """
        size, resizing = sizes(network)[-1], SQUASH
        if tuned and tuned.network == network:
            size, resizing = tuned.selection.input_size[0], tuned.selection.resizing
        resizing = resizing if self.resizing == AUTO else self.resizing
        return NetworkInput(network, self.input_size or size, resizing)
