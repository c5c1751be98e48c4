"""The way of a message: read, decided upon, published, written to the API server, acknowledged."""
