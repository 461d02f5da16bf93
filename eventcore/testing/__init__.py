"""For tests of eventcore, of programs on it, and of other stores: time, ids, faults on command."""

from eventcore.testing.clock import ManualClock
from eventcore.testing.conformance import CHECKS, check_store
from eventcore.testing.faults import Fault, FaultyStore
from eventcore.testing.ids import SeededIds

__all__ = ["CHECKS", "Fault", "FaultyStore", "ManualClock", "SeededIds", "check_store"]
