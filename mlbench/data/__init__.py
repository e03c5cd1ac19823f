"""Tasks and their collections: task files, where data lies, readers, integrity, digests."""
