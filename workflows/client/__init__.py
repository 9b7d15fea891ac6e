"""The client's side of the account workflow: the one door through which everything comes in."""

from workflows.client._accounts import AccountClient, connect
from workflows.client._errors import AccountError, EngineUnavailableError, UnknownAccountError

__all__ = ["AccountClient", "AccountError", "EngineUnavailableError", "UnknownAccountError", "connect"]
