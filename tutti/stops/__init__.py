"""The commands below `tutti stop`: kill switches, thrown and lifted."""
