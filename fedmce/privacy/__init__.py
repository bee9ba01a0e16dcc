"""What may leave a site: floors, rounded counts, noise, the ledger of what left, and a probe that shows why."""

from fedmce.privacy.classify import FirstLayer, first_layer, first_layers
from fedmce.privacy.counts import Cohort, cohort, rounded, told_modalities, told_rows
from fedmce.privacy.floors import REASONS, Behind, Reason, effective, held_back, is_noised
from fedmce.privacy.ledger import Block, Entry, Ledger, read_ledger
from fedmce.privacy.noise import length, noised
from fedmce.privacy.sums import told_entries, told_sums
from fedmce.privacy.told import told_cells, told_losses, told_seconds, told_tally

__all__ = [
    "REASONS",
    "Behind",
    "Block",
    "Cohort",
    "Entry",
    "FirstLayer",
    "Ledger",
    "Reason",
    "cohort",
    "effective",
    "first_layer",
    "first_layers",
    "held_back",
    "is_noised",
    "length",
    "noised",
    "read_ledger",
    "rounded",
    "told_cells",
    "told_entries",
    "told_losses",
    "told_modalities",
    "told_rows",
    "told_seconds",
    "told_sums",
    "told_tally",
]
