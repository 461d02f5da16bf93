"""The event-pattern language of EventBridge, and matching one event against many patterns.

Stateless but for `Matcher`, which is its owner's; no I/O, no clock. The language is stated in
docs/reference/event-patterns.md, the index in docs/decisions/0005-matcher.md.
"""

from __future__ import annotations

from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.evaluation import matches
from eventcore.patterns.matcher import Matcher
from eventcore.patterns.pattern import Pattern

__all__ = ["Matcher", "Pattern", "compile_pattern", "matches"]
