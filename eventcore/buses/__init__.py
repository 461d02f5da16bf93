"""Event buses: rules, targets, and the routing of events (EventBridge)."""
