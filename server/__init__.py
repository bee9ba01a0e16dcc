"""The aggregator: a Flower ServerApp, its strategy, round loop, gate and committed state."""

from fedmce.flower_compat import switch_off_side_effects

switch_off_side_effects()  # Flower reads its switches when it is imported, which the modules here do first
