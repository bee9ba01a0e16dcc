"""The program at a site: a Flower ClientApp that answers messages and holds no policy."""

from fedmce.flower_compat import switch_off_side_effects

switch_off_side_effects()  # Flower reads its switches when it is imported, which the modules here do first
