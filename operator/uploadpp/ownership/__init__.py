"""One process among several: who owns which shard, and what an ownership is made of."""
