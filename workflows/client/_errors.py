"""What a call to an account can end with instead of an answer."""

from __future__ import annotations


class AccountError(Exception):
    """A request that an account did not accept; the text is for the person who asked."""


class UnknownAccountError(AccountError):
    """There is no workflow for this account."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"there is no account {account_id!r}; check the id, or import the account first")


class EngineUnavailableError(AccountError):
    """The engine did not answer: it is not known whether the message arrived. Repeat it with the same ids."""
