"""Leak probe: what a site's update tells of its rows, with and without floors and noise (``fedmce leak-probe``)."""

from fedmce.privacy.probe.tables import Cell, Probe, ProbeResult, limits, run_probe

__all__ = ["Cell", "Probe", "ProbeResult", "limits", "run_probe"]
