"""Real servers for development, demo, bench and tests."""
