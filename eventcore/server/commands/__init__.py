"""The commands of `eventcore`, one module each; `eventcore.server.cli` loads them on demand."""
