"""The one error of the local stack."""

from __future__ import annotations

from enum import StrEnum


class StackCode(StrEnum):
    """Why the local stack refused or failed."""

    FOLDER = "FOLDER"
    IN_USE = "IN_USE"
    PORT = "PORT"
    PROGRAM = "PROGRAM"
    CHILD = "CHILD"
    GAVE_UP = "GAVE_UP"
    KEEPER = "KEEPER"


class StackError(Exception):
    """The local stack cannot start or cannot go on.

    Attributes:
        code: Stable reason, for programs.
        log_tail: Last lines of the culprit's log, for people; empty when no process is to blame.
    """

    def __init__(self, code: StackCode, sentence: str, *, log_tail: tuple[str, ...] = ()) -> None:
        """Keep the sentence (one line: what, where, what to do) and the evidence apart."""
        super().__init__(sentence)
        self.code = code
        self.log_tail = log_tail
