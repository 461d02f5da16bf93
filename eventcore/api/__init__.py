"""The AWS API: per service its operations, their handlers, and the map from errors to codes."""
