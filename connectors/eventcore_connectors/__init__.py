"""Connectors of eventcore to foreign systems. Each module is one connector, with its own extra."""
