"""The commands below `tutti play`: plays of the policy set, and their runs on accounts."""
