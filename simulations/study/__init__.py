"""Runs the cells of a study: on worker processes, or as tasks of a Ray cluster."""
