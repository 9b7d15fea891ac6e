"""The commands below `tutti touch`: what operators do about single touches."""
