"""Consumer groups: who of a group's workers reads which shard of a stream, and how far they are."""
