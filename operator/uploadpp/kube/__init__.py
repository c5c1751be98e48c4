"""The API server: the checkpoint store, the Lease, Events, sealing. Does not know NATS."""
