"""IAM's roles and managed policies: kept and told, never enforced."""

from __future__ import annotations

__all__: list[str] = []
