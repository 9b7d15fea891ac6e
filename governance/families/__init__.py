"""The policy families: one module for each file of a policy set."""
