"""One process among several: which process owns which shard, and the parts of an ownership."""
