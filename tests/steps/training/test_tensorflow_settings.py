"""Which GPU a process uses. There is none here: a stand-in takes TensorFlow's calls."""

from types import SimpleNamespace

import pytest

from steps.training.tensorflow_settings import _use_own_gpu


@pytest.mark.parametrize(
    ("gpus", "local_rank", "own"),
    [([], None, []), (["0"], None, ["0"]), (["0", "1"], "1", ["1"]), (["0"], "1", ["0"])],
)
def test_each_rank_uses_a_gpu_of_its_own_as_it_needs_it(monkeypatch, gpus, local_rank, own):
    monkeypatch.delenv("HOROVOD_LOCAL_RANK", raising=False)
    if local_rank:
        monkeypatch.setenv("HOROVOD_LOCAL_RANK", local_rank)
    visible, growing = [], []
    growth = SimpleNamespace(set_memory_growth=lambda gpu, grows: growing.append(gpu))
    config = SimpleNamespace(
        list_physical_devices=lambda kind: gpus,
        set_visible_devices=lambda gpu, kind: visible.append(gpu),
        experimental=growth,
    )
    _use_own_gpu(SimpleNamespace(config=config))
    assert visible == growing == own
