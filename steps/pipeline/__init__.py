"""What makes a function an MLflow run: step, outputs, cache key, reuse, commands, failures."""
