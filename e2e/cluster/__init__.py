"""Kubernetes clusters to run against: local processes, kind, or one that exists."""
