"""What the operator reports about its work: metrics, traces, and log lines about uploads."""
