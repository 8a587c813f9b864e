"""Scoring on Spark, into the table of scores."""
