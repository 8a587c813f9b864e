"""What the split shows before anything is trained: whether its network can be promoted at all."""

import logging
import math

from steps.dataset.cache import Cache
from steps.dataset.split import SPLITS, TEST
from steps.evaluation.guessing import others_needed
from steps.evaluation.promotion_rules import images_needed
from steps.evaluation.refusal import images_to_add
from steps.pipeline.model_names import name_model
from steps.pipeline.report import Report
from steps.registry.aliases import CHAMPION, version_by_alias
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


def warn_of_refusal(
    report: Report, cache: Cache, profile: Profile, source: str, is_cross_validated: bool
) -> None:
    """Say that the test split is too small to pass, whatever is trained, and what is missing.

    Args:
        report: of the run.
        cache: the images.
        profile: has the rules.
        source: the landing zone, which may name the model.
        is_cross_validated: whether all images count for a first model if there are few.
    """
    rules, champion = (
        profile.promotion,
        version_by_alias(profile.model or name_model(source), CHAMPION),
    )
    validated = is_cross_validated and cache.has_few(TEST) and not champion
    images = sum(map(cache.rows, SPLITS)) if validated else cache.rows(TEST)
    purposes = [(images_needed(1 - (rules.min_accuracy or 0.0), rules.confidence), "promotion")]
    others = cache.rows(TEST) - max(cache.counts[TEST].values())  # images of other labels
    if champion:
        against_champion = images_needed(rules.max_regression or 1, rules.confidence)
        purposes.append((against_champion, "a comparison with the champion"))
    elif others and not validated and rules.min_accuracy != 0:
        first = math.ceil(images * others_needed(rules.confidence) / others)
        purposes.append((first, "a first model"))
    needed, purpose = max(purposes, key=lambda one: one[0])
    if images >= needed:
        return
    missing = needed - images if validated else images_to_add(needed, cache)
    warning = (
        f"{images} {'labelled' if validated else 'test'} images are too few for {purpose}, which "
        f"needs {needed} even if all are correct: add about {missing} labelled images; this run "
        "continues, but its network will be refused"
    )
    logger.warning("%s", warning)
    report.table("Promotion", ["images", "needed"], [[images, needed]], warning + ".")
