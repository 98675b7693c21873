"""Files, tables, shards and ledgers of a run folder on any fsspec URL. No Beam."""
