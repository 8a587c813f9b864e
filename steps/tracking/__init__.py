"""What MLflow keeps of a step: its run, inputs, outputs, cache key, card and registered models."""
