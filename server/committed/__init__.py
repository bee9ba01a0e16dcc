"""Committed state: what a run keeps on disk so that a kill or a power cut costs at most the round that it is in."""

from server.committed.folder import Opening, StateFolder
from server.committed.kill import kill_point
from server.committed.opening import open_state
from server.committed.plan import check_plan
from server.committed.room import Room
from server.committed.store import Committed, Store

__all__ = ["Committed", "Opening", "Room", "StateFolder", "Store", "check_plan", "kill_point", "open_state"]
