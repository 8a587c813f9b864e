"""The contest of networks: each has its images prepared in its best way, and then a trial."""

import logging
import math
import time
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from steps.dataset.cache import Cache
from steps.dataset.cache_filling import OpenSpark, find_or_fill
from steps.dataset.selection import Contender, prepared_for
from steps.dataset.split import SplitRule
from steps.evaluation.metrics import with_interval
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile
from steps.settings.search_space import SearchSpace
from steps.training.cross_validation import cross_validate, log_loss
from steps.training.feature_cache import REST, find_or_describe, read_features
from steps.training.plan import Plan
from steps.tuning.hyperopt_space import narrow
from steps.tuning.search import Limits, search
from steps.tuning.trials import FAILED, Trial

logger = logging.getLogger("steps")


@dataclass(frozen=True)
class Entry:
    """A contender with what it needs to be trained.

    Attributes:
        contender: the network, and how images are prepared for it.
        selection: of images prepared so.
        plan: of its first trial: the defaults.
        cache: what it trains on: pixels or features.
    """

    contender: Contender
    selection: Selection
    plan: Plan
    cache: Cache

    @property
    def network(self) -> str:
        """Its name."""
        return self.contender.network


def enter(
    selection: Selection, plan: Plan, profile: Profile, spark: OpenSpark, ways: list[Contender]
) -> Entry:
    """Return the entry of a network, with its images prepared in the way that suits them best.

    Args:
        selection: which images.
        plan: what the trials share.
        profile: says where caches are.
        spark: opens a Spark session as a context manager.
        ways: in which the network's images may be prepared. Several are compared by
            cross-validation of a frozen network's head, whose features need computing once.
    """
    plan = replace(plan, network=ways[0].network)
    best = ways[0]
    if len(ways) > 1:
        losses = {way: _loss(way, selection, plan, profile, spark) for way in ways}
        best = min(ways, key=lambda way: losses[way])
    selection = prepared_for(best, selection)
    pixels = find_or_fill(selection, profile, spark)
    return Entry(best, selection, plan, find_or_describe(plan, pixels, profile, spark))


def hold_contest(
    spark: SparkSession,
    entries: list[Entry],
    space: SearchSpace,
    limits: Limits,
    parent_run_id: str,
    before: list[Trial],
) -> tuple[list[Trial], Entry]:
    """Give each network its first trial, and the one with the lowest loss all the others.

    The losses are of the same validation images, however they are prepared.

    Args:
        spark: runs one trial a task.
        entries: the networks, the cheapest first.
        space: what is searched; a network has its part of it.
        limits: when to end. Each network has its first trial, unless the time is over before.
        parent_run_id: the run that the trials are nested in.
        before: trials of the interrupted search that this one resumes.

    Returns:
        All trials, and the entry of the network with the lowest loss.
    """
    started = time.monotonic()
    trials = {one.network: [t for t in before if t.network == one.network] for one in entries}

    def search_on(entry: Entry, count: int, parallelism: int) -> None:
        network = entry.network
        left = limits.seconds and max(0.0, limits.seconds - (time.monotonic() - started))
        limit = replace(limits, trials=count, parallelism=parallelism, seconds=left)
        part, own = narrow(space, network), trials[network]
        trials[network] = search(spark, entry.plan, entry.cache, part, limit, parent_run_id, own)

    for entry in entries if len(entries) > 1 else ():
        search_on(entry, 1, 1)
        logger.info(describe_first(entry.contender, trials[entry.network]))

    def lowest(entry: Entry) -> float:
        return min((trial.validation_loss for trial in trials[entry.network]), default=math.inf)

    winner = min(entries, key=lowest)
    others = sum(map(len, trials.values())) - len(trials[winner.network])
    search_on(winner, limits.trials - others, limits.parallelism)
    return [trial for own in trials.values() for trial in own], winner


def describe_first(contender: Contender, trials: list[Trial]) -> str:
    """Return what the first trial of a network found."""
    if not trials or trials[0].outcome == FAILED:
        return f"{contender.network}: no result"
    first = trials[0]
    return (
        f"{contender.network} at {contender.input_size}, {contender.resizing}: validation "
        f"accuracy {first.validation_accuracy:.3f}, loss {first.validation_loss:.4f}"
    )


def _loss(
    way: Contender, selection: Selection, plan: Plan, profile: Profile, spark: OpenSpark
) -> float:
    """Return the cross-validated log loss of a head on the features of images as they are."""
    pixels = find_or_fill(prepared_for(way, selection), profile, spark)
    plain = find_or_describe(replace(plan, augmentation=0), pixels, profile, spark)
    features = read_features(plain, REST)
    rule = SplitRule(selection.block_minutes, seed=selection.split_seed)
    found = cross_validate(features, rule)
    right = float((found.argmax(axis=1) == features.classes).mean())
    loss = log_loss(found, features.classes)
    logger.info(
        "%s at %d, %s: accuracy %s, log loss %.3f by cross-validation",
        *way,
        with_interval(right, len(features.classes)),
        loss,
    )
    return loss
