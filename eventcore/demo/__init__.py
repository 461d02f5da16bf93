"""The demonstration on real input: a year of flights through a bus, rules and queues."""
