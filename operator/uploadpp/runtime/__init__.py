"""Wiring: the coordinator between log and store, and everything that keeps it running."""
