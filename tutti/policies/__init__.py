"""`tutti policy`: the tools for the people who own the policies."""
