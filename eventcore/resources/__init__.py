"""The directory of resources."""
