"""PostprocessingPolicies: what their rules say of an upload. No clock, no I/O.

The step service `policies` is something else: it looks at the content of a file (`steps/policies.py`). A
PostprocessingPolicy chooses the steps of an upload before any of them runs.
"""
