"""WebDataset shards: writing, reading by offset, and verifying against the manifest."""
