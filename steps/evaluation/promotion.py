"""The alias moves to a challenger that passed, unless another run moved one meanwhile."""

from mlflow.entities.model_registry import ModelVersion

from steps.evaluation.comparison import Comparison
from steps.registry import versions
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import move_alias, moved_reason


def promote_compared(
    challenger: ModelVersion,
    alias: str,
    reason: str,
    run_id: str,
    stood: dict[str, str | None],
    comparison: Comparison,
    accepted_shortcut: str = "",
) -> str | None:
    """Move an alias to a challenger, and note its comparison if it passed.

    Args:
        challenger: that was compared.
        alias: that moves.
        reason: kept in its history; empty: that it passed.
        run_id: the run that moves it.
        stood: the version of the alias, and of the champion, when it was compared.
        comparison: with the champion.
        accepted_shortcut: why a shortcut that the network follows does no harm; empty: none.

    Returns:
        None, or which alias another run moved meanwhile: this one stays where it is then.
    """
    with lock_aliases(challenger.name, run_id):
        for name, number in stood.items():
            if moved := moved_reason(challenger.name, number, name):
                return moved
        if accepted_shortcut:
            versions.tag_accepted_shortcut(challenger, accepted_shortcut)
        if comparison.result.passed:
            note = f"passed: {alias}{comparison.caution}"
            versions.note_comparison(challenger, note, run_id)
        reason = reason or "passed the profile's promotion rules"
        move_alias(challenger.name, alias, str(challenger.version), run_id, reason)
    return None
