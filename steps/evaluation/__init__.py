"""Predictions on a split, their metrics, and the comparison of challenger and champion."""
