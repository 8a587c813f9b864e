"""The hyperparameter search: Hyperopt on Spark."""
