"""Kubernetes operator that runs the postprocessing of ocis and OpenCloud uploads."""

__version__ = "0.1.0"
