"""Adopts uploads from the legacy service, and hands them back, while no operator runs."""
