"""The `tutti` command, the settings, and the stack that runs on one machine."""
