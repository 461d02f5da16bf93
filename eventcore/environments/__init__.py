"""Execution environments: the processes that run functions' code."""

from __future__ import annotations

__all__: list[str] = []
