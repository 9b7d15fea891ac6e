"""Plays: sequences over weeks, read from files, checked before they run, walked through by the planner."""

from governance.plays._advice import advise
from governance.plays._build import build_play
from governance.plays._check import Around, check_names, check_ways
from governance.plays._facts import PLAYS
from governance.plays._file import PlayFile
from governance.plays._play import Play

__all__ = ["PLAYS", "Around", "Play", "PlayFile", "advise", "build_play", "check_names", "check_ways"]
