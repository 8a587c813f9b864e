"""Promote: the challenger becomes champion, or it is said why not."""

import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.errors import UserError
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile
from steps.tracking.outputs import PromoteOutputs, RegisterOutputs, TrainOutputs
from steps.tracking.registry import CHAMPION, load_keras, version_by_alias
from steps.tracking.step import Step, StepRun


class Parameters(StepParameters):
    """Compare challenger and champion on the same held-out pictures; move the alias on a pass."""

    register_run_id: str = Field(
        "latest", description="run of register whose version is the challenger"
    )


def promote(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Judge both on the challenger's held-out part; the profile says what is good enough."""
    from steps.training.fit import configure_tensorflow

    configure_tensorflow(threads=0)
    registered = run.read("register", RegisterOutputs)
    challenger = MlflowClient().get_model_version(registered.model, registered.version)
    champion = version_by_alias(registered.model, CHAMPION)
    accuracy = {"challenger": _accuracy(run, challenger, challenger)}
    if champion and champion.version != challenger.version:
        accuracy["champion"] = _accuracy(run, champion, challenger)
    mlflow.log_metrics({f"{who}_accuracy": value for who, value in accuracy.items()})
    refusal = verdict(accuracy, run.profile)
    said = refusal or "promoted"
    client = MlflowClient()
    client.set_model_version_tag(challenger.name, challenger.version, "verdict", said)
    run.card.table(
        "Accuracy on the challenger's held-out pictures",
        ["model", "accuracy"],
        [[who, round(value, 4)] for who, value in accuracy.items()],
    )
    if refusal:
        raise UserError(
            f"version {challenger.version} of {challenger.name} is not promoted: {refusal}; "
            "train another, or change promotion in the profile"
        )
    client.set_registered_model_alias(challenger.name, CHAMPION, challenger.version)
    client.set_model_version_tag(
        challenger.name, challenger.version, "promoted_at", str(int(time.time()))
    )
    run.card.headline("champion", f"version {challenger.version}")
    run.card.next_command = "mlflow run . -e export"
    return PromoteOutputs(
        model=challenger.name,
        version=str(challenger.version),
        alias=CHAMPION,
        verdict=said,
        metrics=accuracy,
    )


def verdict(accuracy: dict[str, float], profile: Profile) -> str | None:
    """Why the challenger is refused; None where it passes.

    Args:
        accuracy: of ``challenger`` and, where there is one, ``champion``, 0–1.
        profile: carries the thresholds.
    """
    reached, rules = accuracy["challenger"], profile.promotion
    if reached < rules.min_accuracy:
        return f"accuracy {reached:.4f} is below the least, {rules.min_accuracy}"
    if "champion" in accuracy and reached < accuracy["champion"] - rules.max_regression:
        return (
            f"accuracy {reached:.4f} is more than {rules.max_regression} below "
            f"the champion's {accuracy['champion']:.4f}"
        )
    return None


def _accuracy(run: StepRun, version: ModelVersion, judged_on: ModelVersion) -> float:
    """A version's accuracy on the held-out pictures of another's training; by label names."""
    from steps.lake.session import spark_session
    from steps.tracking.inputs import read_outputs
    from steps.training.cache import find_or_fill
    from steps.training.evaluation import evaluate, keras_predict
    from steps.training.split import TEST

    own = read_outputs(version.tags["run.train"], TrainOutputs)
    selection = read_outputs(judged_on.tags["run.train"], TrainOutputs).selection.model_copy(
        update={"input_size": own.selection.input_size}
    )
    cache = find_or_fill(selection, run.profile, lambda: spark_session(run.profile, "promote"))
    held_out = evaluate(keras_predict(load_keras(version)), cache, TEST)
    said = [own.labels[index] for index in held_out.predicted]
    right = [
        label == cache.labels[true] for label, true in zip(said, held_out.classes, strict=True)
    ]
    return sum(right) / len(right)


def _holds(outputs: PromoteOutputs, profile: Profile) -> str | None:
    version = version_by_alias(outputs.model, outputs.alias)
    if version and str(version.version) == outputs.version:
        return None
    return f"the alias {outputs.alias} has moved since"


STEP = Step(
    "promote",
    Parameters,
    PromoteOutputs,
    promote,
    settings=("model", "promotion", "cache"),
    holds=_holds,
)

if __name__ == "__main__":
    STEP.main()
