"""Tests; a package, so that ``tests.server`` never hides ``server``."""
