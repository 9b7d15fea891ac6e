"""`tutti audit-log`: the decision log anchored outside, verified, and told as a story."""
