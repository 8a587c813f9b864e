"""The released model as an MLflow pyfunc: a thin cover over the scoring core.

MLflow keeps this file's text with the model and runs it where the model is loaded, which needs
onnxruntime, numpy, Pillow and the ``edge`` folder that travels with it, nothing else of this
project.
"""

import os
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from edge.scoring import Scorer


class PictureScorer(PythonModel):
    """Scores a column ``image`` of encoded pictures (bytes; base64 in a REST request)."""

    def load_context(self, context: Any) -> None:
        """Load the network once."""
        self._scorer = Scorer(os.path.dirname(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return ``label``, ``score`` and a column of probabilities for each label."""
        labels = self._scorer.record.labels
        probabilities = self._scorer.score(list(model_input["image"]))
        return pd.DataFrame(
            {
                "label": [labels[index] for index in probabilities.argmax(axis=1)],
                "score": probabilities.max(axis=1),
                **{f"probability_{label}": probabilities[:, i] for i, label in enumerate(labels)},
            }
        )


set_model(PictureScorer())
