"""Five uploads on real components: a storage, two step services, and the operator between them."""
