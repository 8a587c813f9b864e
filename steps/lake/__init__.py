"""The lake: from the landing zone into Delta tables, and what is asked of them on Spark."""
