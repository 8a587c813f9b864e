"""The weights as they are read from PyTorch's file."""

import io
import pickle
from importlib import metadata

import numpy as np
import pytest

from steps.errors import UserError
from steps.features import weights as module
from steps.features.weights import FILE, PACKAGE, _Unpickler, read_weights


def test_the_weights_are_those_of_the_network():
    weights = read_weights()
    trained = [v for name, v in weights.items() if name.endswith((".weight", ".bias"))]
    assert sum(values.size for values in trained) == 4_652_008  # as published
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_conv_head.weight"].shape == (1280, 320, 1, 1)
    assert weights["_bn0.running_var"].min() >= 0
    # ImageNet's own classifier tells them: each of its rows is another class
    assert np.linalg.matrix_rank(weights["_fc.weight"]) == 1000


def test_a_pickle_that_wants_more_than_arrays_is_refused():
    class Harmful:
        def __reduce__(self):
            return (print, ("harm",))

    with pytest.raises(pickle.UnpicklingError, match="print does not belong"):
        _Unpickler(io.BytesIO(pickle.dumps(Harmful()))).load()


def test_another_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = tmp_path / FILE
    file.parent.mkdir(parents=True)
    original = metadata.distribution(PACKAGE).locate_file(FILE).read_bytes()
    file.write_bytes(original[:-1] + b"x")

    class Elsewhere:
        locate_file = staticmethod(tmp_path.joinpath)

    monkeypatch.setattr(module, "distribution", lambda name: Elsewhere)
    with pytest.raises(UserError, match="is damaged"):
        read_weights()
    file.unlink()
    with pytest.raises(UserError, match="make setup"):
        read_weights()


def test_the_package_brings_its_licence():
    text = metadata.distribution(PACKAGE).read_text("LICENSE")
    assert "Apache License, Version 2.0" in text and "ML Illustrated" in text
