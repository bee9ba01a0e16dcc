"""Quality: what is wrong with values that are there; absence is the business of ``fedmce.missingness``."""

from fedmce.quality import clean, degraded  # noqa: F401 - importing registers them
from fedmce.quality.degraded import degraded_sites
from fedmce.quality.kinds import KINDS, kind
from fedmce.quality.quality import QUALITIES, Quality, quality, with_quality

__all__ = ["KINDS", "QUALITIES", "Quality", "degraded_sites", "kind", "quality", "with_quality"]
