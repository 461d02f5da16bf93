"""Everything that waits: host, engine, long polls, handlers."""
