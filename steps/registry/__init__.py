"""MLflow's model registry: registered versions, aliases, and a server for local use."""
