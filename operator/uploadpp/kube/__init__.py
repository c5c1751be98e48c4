"""The API-server side: the checkpoint store, the Lease, Events, sealing. Knows no NATS."""
