"""Two step services, written directly on NATS the way a user would write them."""
