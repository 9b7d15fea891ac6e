"""Measurements of the real thing: embedded server, real workers, real ledger, loopback only."""
