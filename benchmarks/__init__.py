"""Benchmarks and comparisons; not part of the wheel."""
