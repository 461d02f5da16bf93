"""Streams: shards, their records, resharding, enhanced fan-out (Kinesis Data Streams)."""
