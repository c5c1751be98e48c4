"""The path of a message: it is read, decided upon, published, written to the API server and acknowledged."""
