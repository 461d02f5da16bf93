"""Queues: the machines, their messages, their settings."""
