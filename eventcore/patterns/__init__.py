"""The event-pattern language of EventBridge, and matching one event against many patterns.

Stateless but for `Matcher` and what holds one (`FilterPolicy`, `RecordFilter`), which are their
owner's; no I/O, no clock. docs/reference/event-patterns.md states the language,
docs/decisions/0005-matcher.md and 0008-matcher-code.md the index.
"""

from __future__ import annotations

from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.dialects import BUS, RECORD_FILTER, SNS_ATTRIBUTES, SNS_BODY, Dialect
from eventcore.patterns.filter_policy import FilterPolicy, compile_filter_policy
from eventcore.patterns.matcher import Matcher
from eventcore.patterns.matching import matches
from eventcore.patterns.pattern import Pattern
from eventcore.patterns.record_filter import Decision, RecordFilter

__all__ = [
    "BUS",
    "RECORD_FILTER",
    "SNS_ATTRIBUTES",
    "SNS_BODY",
    "Decision",
    "Dialect",
    "FilterPolicy",
    "Matcher",
    "Pattern",
    "RecordFilter",
    "compile_filter_policy",
    "compile_pattern",
    "matches",
]
