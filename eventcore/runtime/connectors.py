"""Finds the connector that serves a URL: entry points of the group `eventcore.connectors`, by
scheme.

A connector is imported when its scheme is first needed, not before: a daemon that delivers to
nobody outside pays nothing for what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final, final

from eventcore.connect import ENTRY_POINT_GROUP, Target, TargetFactory
from eventcore.errors import UnsupportedOperation

__all__ = ["ConnectorOptions", "Connectors"]

ConnectorOptions = Mapping[str, Mapping[str, str]]
"""Options for connectors by URL prefix: the longest prefix of a URL gives it its options."""

_NO_OPTIONS: Final[Mapping[str, str]] = {}


@final
class Connectors:
    """The connectors at hand. `factories` takes the place of what is installed, for tests and for
    programs that bring their own.
    """

    def __init__(
        self,
        factories: Mapping[str, TargetFactory] | None = None,
        options: ConnectorOptions | None = None,
    ) -> None:
        self._factories = None if factories is None else dict(factories)
        self._loaded: dict[str, TargetFactory] = {}
        self._options = dict(options or {})

    def schemes(self) -> frozenset[str]:
        """The URL schemes that some connector serves."""
        if self._factories is not None:
            return frozenset(self._factories)
        return frozenset(point.name for point in entry_points(group=ENTRY_POINT_GROUP))

    def target(self, url: str) -> Target:
        """A target for a URL, not opened yet.

        Raises UnsupportedOperation when no connector serves its scheme, and what the connector
        raises for a URL or options it can not use.
        """
        scheme = url.partition("://")[0]
        return self._factory(scheme)(url, self._options_for(url))

    def _factory(self, scheme: str) -> TargetFactory:
        if self._factories is not None:
            factory = self._factories.get(scheme)
        else:
            factory = self._loaded.get(scheme)
            for point in entry_points(group=ENTRY_POINT_GROUP, name=scheme):
                factory = self._loaded[scheme] = factory or point.load()
        if factory is None:
            raise UnsupportedOperation(
                "connectors", scheme, "no installed connector serves this scheme"
            )
        return factory

    def _options_for(self, url: str) -> Mapping[str, str]:
        prefix = max(filter(url.startswith, self._options), key=len, default=None)
        return _NO_OPTIONS if prefix is None else self._options[prefix]
