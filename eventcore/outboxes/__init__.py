"""Outboxes: durable deliveries to targets outside the store, and their dead letters."""
