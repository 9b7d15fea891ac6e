"""Who speaks at the approvals API: one secret for each person, and the login that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from gateway._problems import is_token

TOKENS_SETTING = "TUTTI_APPROVER_TOKENS"
"""Environment variable with the tokens of the persons who answer through tools of their own."""


class ApproverTokens:
    """Tells whose token was shown.

    Args:
        tokens: By login: the person's tokens. Several are all valid, so that one can replace another.
    """

    def __init__(self, tokens: Mapping[str, Sequence[SecretStr]] | None = None) -> None:
        self._tokens = [(login, token) for login, own in (tokens or {}).items() for token in own]

    def __bool__(self) -> bool:
        """Whether anybody has a token."""
        return bool(self._tokens)

    def login_of(self, shown: str) -> str | None:
        """Return whose token it is; None if it is nobody's.

        Every token is compared, so that the time it takes tells nothing about any of them.
        """
        found = None
        for login, token in self._tokens:
            if is_token(shown, token):
                found = login
        return found
