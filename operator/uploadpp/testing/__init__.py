"""Doubles of the world around the operator, and the simulation that runs it on them.

Everything above the wire is the real thing: ownership, reader, publisher, lease, store. Only
the NATS server, the API server, the watch, the clock and the other services are played.
"""
