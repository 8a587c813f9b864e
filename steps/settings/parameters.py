"""The parameters of a step: declared once as a pydantic model, read from the command line."""

import argparse
import re
import sys
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge.protocol.version import project_version
from steps.errors import RUN, UserError
from steps.settings.validation_errors import describe_validation_error, did_you_mean

TRUE = ("true", "1", "yes", "on", "y", "t")
"""What pydantic reads as true, in any case."""


DOTTED = re.compile(r"(?<![^\0])--(\w+)\.([^=\0]*)[=\0]")
"""A flag with a dot in its name, in arguments with a NUL between: its name, and what follows."""

RELEASED = "-onnx"
"""The end of the name under which a model is released."""


def _model_name(name: str) -> str:
    """Return a name that MLflow's registry accepts for a model; empty if there is none."""
    if (
        name != name.strip()
        or re.search(r"[/:%\"']|^\.+$", name)
        or name.lower().endswith(RELEASED)
    ):
        raise ValueError(
            f"a model's name has none of / : % \" ', no space around it, and does not end in "
            f"{RELEASED}, as releases do"
        )
    return name


ModelName = Annotated[
    str, BeforeValidator(lambda name: "" if name is None else name), AfterValidator(_model_name)
]


class StepParameters(BaseModel):
    """Parameters that every step has; a step adds its own as fields with a description.

    ``mlflow run . -e train -P epochs=5`` reaches the step as ``--epochs 5``. What follows a dot in
    a name begins the value: ``-P max_miss_rate.crack=0.01`` is ``-P max_miss_rate=crack=0.01``.
    MLflow takes few characters in a name, A–Z a–z 0–9 _ - . / :, and any in a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    profile: str = Field(
        "local", description="name of a file in profiles/, or the path of a profile"
    )
    override: str = Field(
        "", description="values to replace in the profile, such as training.processes=4,lake=/data"
    )
    model: ModelName = Field(
        "",
        description="the registered model's name, in place of the profile's; without either, the "
        "last folder of the source that it is trained on",
    )
    debug: bool = Field(False, description="show the stack trace of an error")
    verbose: bool = Field(False, description="show all log lines of Spark, TensorFlow and MLflow")

    @classmethod
    def input_names(cls) -> list[str]:
        """Return the steps whose run IDs the parameters name."""
        return [step for name in cls.model_fields if name != RESUME and (step := input_step(name))]

    def non_default(self, run_ids: bool = True) -> dict[str, str]:
        """Return the parameters that differ from their defaults, as text; run IDs if asked."""
        values = self.model_dump(exclude_defaults=True, exclude_none=True)
        return {n: str(value) for n, value in values.items() if run_ids or not input_step(n)}

    def deciding(self) -> dict[str, Any]:
        """Return what decides a result: neither what every step has, nor the IDs of runs."""
        own = self.model_dump(mode="json", exclude=set(StepParameters.model_fields))
        return {name: value for name, value in own.items() if not input_step(name)}


def _alias(name: str) -> str:
    """Return a name that MLflow's registry accepts as an alias."""
    if not re.fullmatch(r"[\w-]{1,255}", name) or re.fullmatch(r"(?i:latest|v\d+)", name):
        raise ValueError(
            "an alias has only letters, digits, - and _, and is neither latest nor v<number>"
        )
    return name


Alias = Annotated[str, AfterValidator(_alias)]


def _stages(text: str) -> str:
    """Return growing shares that end at 1, with commas between."""
    try:
        shares = [float(part) for part in text.split(",")] if text else [1.0]
    except ValueError:
        shares = []
    grows = all(low < high for low, high in pairwise([0.0, *shares]))
    if not shares or shares[-1] != 1 or not grows:
        raise ValueError(f"{text!r} is not a list of growing shares up to 1, such as 0.05,0.2,1")
    return text


Stages = Annotated[str, AfterValidator(_stages)]

_RUN_ID = "_run_id"


def run_id_parameter(step: str) -> str:
    """Return the parameter that names a run of a step, such as ``train_run_id``."""
    return step + _RUN_ID


def input_step(parameter: str) -> str | None:
    """Return the step whose run a parameter names; None if it names no run.

    >>> input_step("train_run_id"), input_step("epochs")
    ('train', None)
    """
    return parameter.removesuffix(_RUN_ID) if parameter.endswith(_RUN_ID) else None


RESUME = run_id_parameter("resume")
"""The parameter that names an interrupted run of the step itself, which is no input."""

P = TypeVar("P", bound="StepParameters")


def parse_parameters(model: type[P], step: str, argv: list[str] | None = None) -> P:
    """Read a step's parameters from the command line.

    Args:
        model: the step's parameters.
        step: the step's name, for the help text.
        argv: the arguments; None: those of ``sys.argv``.

    Raises:
        UserError: a parameter is unknown, or a value has the wrong type or is out of bounds.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m steps.{step}",
        description=model.__doc__,
        epilog=f"The same through MLflow: {RUN} -e {step} -P <parameter>=<value>",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if "version" not in model.model_fields:  # promote has another meaning for it
        shown = f"lakehouse-vision {project_version()}"
        parser.add_argument("--version", action="version", version=shown)
    for name, field in model.model_fields.items():
        flag: dict[str, Any] = {"nargs": "?", "const": "true"} if field.annotation is bool else {}
        parser.add_argument(
            f"--{name}",
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{field.description} (default: {_shown(field.default)})".replace("%", "%%"),
            **flag,
        )
    typed = "\0".join(sys.argv[1:] if argv is None else argv)
    dotted = [name for name, _ in DOTTED.findall(typed)]
    for name in dotted:
        if dotted.count(name) > 1:
            raise UserError(f"{step} takes only one {name}.<…>; pass one of them")
    typed = DOTTED.sub(r"--\1=\2=", typed)
    known, unknown = parser.parse_known_args(typed.split("\0") if typed else [])
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        if name == "P" or name in model.model_fields:
            raise UserError(
                f"{unknown[0]} is not how {step} takes a parameter; write "
                f"--<parameter>=<value>, or -P <parameter>=<value> after {RUN}"
            )
        raise UserError(
            f"{step} has no parameter {name!r}; {did_you_mean(name, model.model_fields)}"
            f"see: python -m steps.{step} --help"
        )
    given: dict[str, Any] = {
        name: value
        for name, value in vars(known).items()
        # the help shows a default of None as none, so none may be passed too
        if value != "none" or model.model_fields[name].default is not None
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise UserError(
            f"{describe_validation_error(error)}; see: python -m steps.{step} --help"
        ) from error


def read_flag(name: str, argv: list[str] | None) -> bool:
    """Return what ``--debug`` or ``--verbose`` says, read alone: another flag may be wrong."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}", dest="flag", nargs="?", const="true", default="false")
    return str(parser.parse_known_args(argv)[0].flag).lower() in TRUE


def _shown(default: Any) -> str:
    return "none" if default is None else str(default) or "empty"
