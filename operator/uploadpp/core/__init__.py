"""The pure heart of the operator: what to do, never how.

Nothing in here reads a clock, opens a socket, logs or awaits. Times are integers in
milliseconds since the epoch, handed in by the caller (invariant 3 of docs/architecture.md).
"""
