"""The ledger: what is written stays, once, and in whatever order it comes."""
