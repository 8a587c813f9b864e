"""What MLflow keeps of a step: its run and what that keeps, its cache key, card and models."""
