"""Taking uploads over from the legacy service, and giving them back, while no operator runs."""
