"""Functions: their versions and aliases, what invokes them later, and what an invocation is."""

from __future__ import annotations

__all__: list[str] = []
