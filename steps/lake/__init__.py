"""Delta Lake and Spark: session, jars, executors, tables, transactions. Knows nothing of images."""
