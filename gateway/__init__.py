"""The HTTP door: what reaches Tutti from outside, and what persons outside may ask of it."""

from __future__ import annotations

from gateway.app import AccountDoor, create_app

__all__ = ["AccountDoor", "create_app"]
