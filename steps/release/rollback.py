"""Way back: an alias moves to a version by hand, and devices follow by a new release of it."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from edge.protocol.rollout import ROLLOUT_TAG
from steps.pipeline.model_names import released_name
from steps.registry import versions
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import CHAMPION, move_alias, number_by_alias
from steps.release.freshness import FRESH_DAYS, renew_freshness
from steps.release.keys import SigningKeys
from steps.release.statement import release_again


def point_alias(
    version: ModelVersion,
    alias: str,
    run_id: str,
    reason: str,
    keys: SigningKeys,
    days: float = FRESH_DAYS,
) -> tuple[str | None, int | None]:
    """Move an alias to a version without a comparison, and release its ONNX model again.

    The champion that stands above it is withdrawn: no comparison promotes it again. A rollout from
    when the version was the champion before does not begin again.

    Args:
        version: of the Keras model.
        alias: that moves, for both registered models.
        run_id: run that moves it.
        reason: for the history of the alias.
        keys: that sign the release.
        days: for which it counts as the newest.

    Returns:
        the number that the alias named before, and the release; None if the version was never
        exported, so that devices do not follow.
    """
    release = None
    with lock_aliases(version.name, run_id):
        before = number_by_alias(version.name, alias)
        if number := versions.onnx_version(version):
            onnx = versions.require_version_number(released_name(version.name), number)
            with lock_aliases(onnx.name, run_id):
                if alias == CHAMPION and ROLLOUT_TAG in onnx.tags:  # else devices keep the canary
                    MlflowClient().delete_model_version_tag(onnx.name, number, ROLLOUT_TAG)
                release = release_again(onnx, keys)
                renew_freshness(onnx.name, lambda: keys, days, {alias: number})
                move_alias(onnx.name, alias, number, run_id, reason)
        if alias == CHAMPION:  # a rollout group may get a withdrawn version, which stays withdrawn
            versions.withdraw(version, before, reason)
        move_alias(version.name, alias, str(version.version), run_id, reason)
    return before, release
