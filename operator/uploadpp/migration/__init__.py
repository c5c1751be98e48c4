"""Taking uploads over from the service we replace, and giving them back, while no operator runs."""
