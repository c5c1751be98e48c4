"""What every process has, be it the operator, a step or a tool: settings, logs, probes, an event loop."""
