"""Names of aliases: what MLflow's registry refuses is refused as a parameter, in one line."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
)

from steps import device, export, main, promote, score
from steps.errors import UserError
from steps.settings.parameters import parse_parameters

GOOD = ["champion", "canary-2", "ring_1", "v", "v1a", "latest-1", "1", "küche", "a" * 255]
BAD = ["bad alias", "", "a/b", "a.b", "a@b", "latest", "Latest", "v1", "V12", "a" * 256, "a\tb"]


def _mlflow_takes(alias: str) -> bool:
    try:
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
    except MlflowException:
        return False
    return True


@pytest.mark.parametrize("step", [promote, export, score, device], ids=lambda step: step.STEP.name)
@pytest.mark.parametrize("alias", GOOD)
def test_what_mlflow_takes_is_taken(step, alias):
    assert _mlflow_takes(alias)
    assert parse_parameters(step.Parameters, step.STEP.name, [f"--alias={alias}"]).alias == alias


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (promote.Parameters, "alias"),
        (export.Parameters, "alias"),
        (score.Parameters, "alias"),
        (device.Parameters, "alias"),
        (main.Parameters, "promote_alias"),
        (main.Parameters, "export_alias"),
    ],
)
@pytest.mark.parametrize("alias", BAD)
def test_what_mlflow_refuses_is_reported_in_one_line(parameters, name, alias):
    assert not _mlflow_takes(alias)
    with pytest.raises(UserError) as caught:
        parse_parameters(parameters, "step", [f"--{name}={alias}"])
    assert str(caught.value) == (
        f"{name}: an alias has only letters, digits, - and _, and is neither latest nor v<number>; "
        "see: python -m steps.step --help"
    )
