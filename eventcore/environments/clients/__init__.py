"""Runtime clients: programs that run in functions' processes, and are never imported here."""

from __future__ import annotations

__all__: list[str] = []
