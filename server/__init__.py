"""The aggregator: a Flower ServerApp, its strategy, round loop, gate and committed state."""
