"""How the files of one checkpoint make its tensors: shards, ranks, adapters, quantised weights."""
