"""What a network costs a device, measured by one of Spark's workers before it is trained."""

import pytest

from steps.dataset.selection import NetworkInput
from steps.training.plan import Plan
from steps.tuning.affordable import affordable, measure_cost

pytestmark = pytest.mark.slow

PLAN = Plan(width=0.25)
WAYS = [NetworkInput("compact", size, way) for size in (32, 64) for way in ("squash", "crop")]


@pytest.fixture(scope="module")
def costs(lake) -> dict[int, dict[str, float]]:
    return {size: measure_cost(lake.spark, PLAN, size, ["a", "b"]) for size in (32, 64)}


def test_a_network_is_measured(costs):
    for cost in costs.values():
        assert 10_000 < cost["onnx_bytes"] < 1_000_000 and cost["latency_ms"] > 0


@pytest.mark.parametrize(
    ("factor", "left", "warned"),
    [(2.0, WAYS, 0), (0.01, WAYS[:2], 2)],
    ids=["all are within", "none is, so that the smallest remain"],
)
def test_what_a_device_cannot_afford_is_left_out(lake, costs, caplog, factor, left, warned):
    limit = int(factor * costs[64]["onnx_bytes"])
    rules = lake.profile.promotion.model_copy(update={"max_onnx_bytes": limit})
    ways, cost = affordable(WAYS, PLAN, ["a", "b"], rules, lake.spark)
    assert ways == left and set(cost) == set(costs[64])
    assert sum("onnx_bytes" in record.getMessage() for record in caplog.records) == warned
