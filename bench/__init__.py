"""Measures the operator, and the raw limits of what it stands on, in the same run."""
