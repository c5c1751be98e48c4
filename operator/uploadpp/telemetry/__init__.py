"""What the operator says of its work: metrics, traces, and the lines about an upload in the log."""
