"""The watch on resources; the only place that knows kopf."""
