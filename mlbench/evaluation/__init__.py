"""One pass over a collection larger than memory: encode a shard, count, add, forget it."""
