"""The search space of tune, as written in a profile."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Section(BaseModel):
    """The base of a profile's sections, of which the search space is one: no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(Section):
    """Numbers from ``low`` to ``high``, on a linear or log scale, in steps of ``step`` if given."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _holds_together(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.scale == "log" and (self.low <= 0 or self.step):
            raise ValueError("a log scale needs low above 0, and has no step")
        return self

    def values(self) -> list[float]:
        """Return the bounds."""
        return [self.low, self.high]


class Choice(Section):
    """A choice among values."""

    choices: list[float | str] = Field(min_length=1)

    def values(self) -> list[float | str]:
        """Return all choices."""
        return self.choices


def _parse_dimension(value: Any) -> Any:
    """Validate by the keys as range or choice, so that an error names that kind only."""
    if isinstance(value, Range | Choice):
        return value
    keys = set(value) if isinstance(value, dict) else set()
    is_range, is_choice = bool(keys & {"low", "high"}), "choices" in keys
    if is_range == is_choice:
        raise ValueError("give either low and high, or choices")
    return (Choice if is_choice else Range).model_validate(value)


Dimension = Annotated[Range | Choice, BeforeValidator(_parse_dimension)]

LIMITS: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-6, 1.0),
    "batch_size": (1, 4096),
    "width": (0.1, 4.0),
    "dropout": (0.0, 0.9),
    "augmentation": (0.0, 3.0),
}
"""The lowest and the highest value that each may have."""


class SearchSpace(Section):
    """What is searched; what is left out keeps the default of train."""

    learning_rate: Dimension | None = Field(None, description="Adam's highest, for a batch of 16")
    batch_size: Choice | None = Field(None, description="images, over all ranks")
    width: Dimension | None = Field(None, description="multiplies the channels")
    dropout: Dimension | None = Field(None, description="share of features, 0–1")
    augmentation: Dimension | None = Field(None, description="strength; 1 is train's default")
    network: Choice | None = Field(None, description="names of networks (backbones)")

    @model_validator(mode="after")
    def _within_limits(self) -> "SearchSpace":
        if not self.searched():
            raise ValueError("nothing to search; name at least one of " + ", ".join(LIMITS))
        for name, dimension in self.searched().items():
            if name == "network":
                if any(not isinstance(value, str) for value in dimension.values()):
                    raise ValueError("network: the choices have to be names")
                continue
            low, high = LIMITS[name]
            for value in dimension.values():
                if isinstance(value, str) or not low <= value <= high:
                    raise ValueError(f"{name}: {value} is not within {low:g}–{high:g}")
                if name == "batch_size" and value != int(value):
                    raise ValueError(f"batch_size: {value} is not an integer")
        return self

    def searched(self) -> dict[str, Range | Choice]:
        """Return the dimensions that are searched, by name."""
        dimensions = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: one for name, one in dimensions.items() if one is not None}
