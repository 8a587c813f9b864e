"""The pipeline: a module for each entry point of MLproject, and the rooms that hold their work."""
