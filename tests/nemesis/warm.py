"""Imported once by the fork server, so that a worker that was killed is back in a moment."""

from __future__ import annotations

import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401
from temporalio.worker._worker import load_default_build_id

import tests.nemesis.life  # noqa: F401

# A worker is told apart by a digest over the code of all its modules, which takes most of a second to make.
# The engine's client remembers it, so it is made before the fork.
load_default_build_id()
