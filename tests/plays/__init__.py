"""Plays as a whole: every way through them, whatever ends or displaces them, and edits on the way."""
