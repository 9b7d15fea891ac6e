"""The tools of channel teams: the published contract, and the commands below `tutti channel`."""
