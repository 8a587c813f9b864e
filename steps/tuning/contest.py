"""The contest of networks: each has its images prepared in its best way, and then a trial."""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from pyspark.sql import SparkSession

from steps.dataset.cache import FEW, Cache
from steps.dataset.cache_filling import OpenSpark, find_or_fill
from steps.dataset.selection import NetworkInput, block_rule, prepared_for
from steps.dataset.split import VALIDATION
from steps.evaluation.bounds import cost_errors
from steps.evaluation.intervals import with_interval
from steps.evaluation.metrics import log_loss
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile, Promotion
from steps.settings.search_space import SearchSpace
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import REST, find_or_describe, read_features
from steps.training.plan import Plan
from steps.tuning.affordable import Cost, affordable, measure_cost
from steps.tuning.hyperopt_space import narrow_space
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
        cost: of its ONNX graph.
    """

    contender: NetworkInput
    selection: Selection
    plan: Plan
    cache: Cache
    cost: Cost

    @property
    def network(self) -> str:
        """Its name."""
        return self.contender.network


def enter_contest(
    ways: list[NetworkInput],
    selection: Selection,
    labels: list[str],
    plan: Plan,
    profile: Profile,
    spark: SparkSession,
) -> Entry:
    """Return the entry of a network, with its images prepared in the way that suits them best.

    Args:
        ways: in which the network's images may be prepared. Several are compared by
            cross-validation of a frozen network's head, whose features need computing once.
        selection: which images.
        labels: of them.
        plan: what the trials share.
        profile: says where caches are, and what a network may cost a device.
        spark: prepares the images.
    """
    plan, open_spark = replace(plan, network=ways[0].network), partial(nullcontext, spark)
    ways, cost = affordable(ways, plan, labels, profile.promotion, spark)
    best = best_way(ways, lambda way: _loss(way, selection, plan, profile, open_spark))
    if best.input_size < ways[-1].input_size:
        cost = measure_cost(spark, plan, best.input_size, labels)
    selection = prepared_for(best, selection)
    pixels = find_or_fill(selection, profile, open_spark)
    return Entry(best, selection, plan, find_or_describe(plan, pixels, profile, open_spark), cost)


def best_way(ways: list[NetworkInput], loss: Callable[[NetworkInput], float]) -> NetworkInput:
    """Return the way to prepare images that gives the lowest loss.

    How they become square is decided at the smallest size, which costs least; then the sizes
    compete.

    Args:
        ways: of one network, the smallest first.
        loss: of a way; called if there are several.
    """
    if len(ways) == 1:
        return ways[0]
    losses = {way: loss(way) for way in ways if way.input_size == ways[0].input_size}
    resizing = min(losses, key=lambda way: losses[way]).resizing
    larger = [way for way in ways if way not in losses and way.resizing == resizing]
    losses |= {way: loss(way) for way in larger}
    return min(losses, key=lambda way: losses[way])


def within_limits(entries: list[Entry], rules: Promotion) -> list[Entry]:
    """Return the contest's networks that are within the profile's limits; if none is, all."""
    return [one for one in entries if not cost_errors(one.cost, rules)] or entries


def worth_a_contest(entries: list[Entry]) -> list[Entry]:
    """Return the networks that the validation images can compare.

    With few images of a label, the lowest loss is that of the luckiest network. The head of a
    frozen one needs few images, so it is trained without a contest.
    """
    frozen = [one for one in entries if one.cache.has_features]
    if not frozen or not frozen[0].cache.has_few(VALIDATION):
        return entries
    for one in entries:
        if one not in frozen:
            logger.info(
                "%s does not compete: with fewer than %d validation images of a label, the frozen "
                "network is the better guess; -P network=%s trains it",
                *(one.network, FEW, one.network),
            )
    return frozen


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
        part, own = narrow_space(space, network), trials[network]
        trials[network] = search(spark, entry.plan, entry.cache, part, limit, parent_run_id, own)

    if len(entries) > 1:
        _at_once(spark, [partial(search_on, one, 1, 1) for one in entries], limits.parallelism)
        for entry in entries:
            logger.info(_describe_first(entry.contender, trials[entry.network]))

    def lowest(entry: Entry) -> float:
        return min((trial.validation_loss for trial in trials[entry.network]), default=math.inf)

    winner = min(entries, key=lowest)
    others = sum(map(len, trials.values())) - len(trials[winner.network])
    search_on(winner, limits.trials - others, limits.parallelism)
    return [trial for own in trials.values() for trial in own], winner


def _at_once(spark: SparkSession, calls: list[Callable[[], None]], count: int) -> None:
    """Make calls that wait for Spark, so many of them at the same time."""
    with ThreadPoolExecutor(count) as threads:
        try:
            for made in [threads.submit(call) for call in calls]:
                made.result()
        except BaseException:  # a Ctrl-C too, which reaches none of the threads
            threads.shutdown(wait=False, cancel_futures=True)
            spark.sparkContext.cancelAllJobs()
            raise


def _describe_first(contender: NetworkInput, trials: list[Trial]) -> str:
    """Return what the first trial of a network found."""
    if not trials or trials[0].outcome == FAILED:
        return f"{contender.network}: no result"
    first = trials[0]
    return (
        f"{contender.network} at {contender.input_size}, {contender.resizing}: validation "
        f"accuracy {first.validation_accuracy:.3f}, loss {first.validation_loss:.4f}"
    )


def _loss(
    way: NetworkInput, selection: Selection, plan: Plan, profile: Profile, spark: OpenSpark
) -> float:
    """Return the cross-validated log loss of a head on the features of images as they are."""
    pixels = find_or_fill(prepared_for(way, selection), profile, spark)
    plain = find_or_describe(replace(plan, augmentation=0), pixels, profile, spark)
    features = read_features(plain, REST)
    found = cross_validate(features, block_rule(selection))
    right = float((found.argmax(axis=1) == features.classes).mean())
    loss = log_loss(found[np.arange(len(found)), features.classes])
    logger.info(
        "%s at %d, %s: accuracy %s, log loss %.3f by cross-validation",
        *way,
        with_interval(right, len(features.classes)),
        loss,
    )
    return loss
