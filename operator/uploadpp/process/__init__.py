"""What the operator, the steps and the tools share: settings, logs, probes, an event loop."""
