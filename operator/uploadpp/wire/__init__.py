"""The NATS side: envelopes, the log reader, the publisher. Knows no Kubernetes."""
