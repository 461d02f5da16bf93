"""Event source mappings: from queues and streams into functions, in batches."""

from __future__ import annotations

__all__: list[str] = []
