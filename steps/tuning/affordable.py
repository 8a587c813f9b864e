"""What a network costs the device that it is for, before it is trained."""

import logging
from functools import partial

from pyspark.sql import SparkSession

from steps.dataset.selection import NetworkInput
from steps.evaluation.bounds import cost_errors
from steps.settings.profile import Promotion
from steps.training.plan import Plan

logger = logging.getLogger("steps")

Cost = dict[str, float]
"""``onnx_bytes`` and ``latency_ms`` of a network's ONNX graph."""


def measure_cost(spark: SparkSession, plan: Plan, size: int, labels: list[str]) -> Cost:
    """Measure a network as promote does, with random weights: they change neither figure.

    One of Spark's workers does it, which needs TensorFlow anyway.

    Args:
        spark: has the worker.
        plan: names the network.
        size: width and height of its input, pixels.
        labels: of its output.
    """
    measure = partial(_measure, plan, labels)
    # not first(), which ends the worker: it leaves its input unread
    costs: list[Cost] = spark.sparkContext.parallelize([size], 1).map(measure).collect()
    return costs[0]


def _measure(plan: Plan, labels: list[str], size: int) -> Cost:
    from steps.release.onnx_graph import measure_onnx
    from steps.training.networks import build_network
    from steps.training.tensorflow_settings import configure_tensorflow

    configure_tensorflow(operations=1)  # as the trials of this worker have it
    return measure_onnx(build_network(plan, (size, size), len(labels)))


def affordable(
    ways: list[NetworkInput], plan: Plan, labels: list[str], rules: Promotion, spark: SparkSession
) -> tuple[list[NetworkInput], Cost]:
    """Return the ways that are within the profile's limits for a device, and the dearest's cost.

    Args:
        ways: to prepare a network's images, the smallest first. If none is within the limits, its
            smallest remain.
        plan: of the network.
        labels: of its output.
        rules: have the limits.
        spark: measures.
    """
    for size in sorted({way.input_size for way in ways}, reverse=True):
        cost = measure_cost(spark, plan, size, labels)
        errors = cost_errors(cost, rules)
        if not errors:
            break
        logger.warning("%s at %d: %s", plan.network, size, "; ".join(errors))
    return [way for way in ways if way.input_size <= size], cost
