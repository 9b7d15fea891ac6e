"""Digests: the identity of an exact action and of a person, independent of how they were written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import rfc8785

Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


def digest_of(value: Plain) -> str:
    """Return the hex SHA-256 over the RFC 8785 canonical JSON of a plain value."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def person_key(email: str) -> str:
    """Return the key of a person across accounts: a hash of the normalized e-mail address.

    A person's opt-out is stored under this key, so that it holds for every account that knows the
    address, and the store itself holds no address.
    """
    return hashlib.sha256(f"email:{email.strip().casefold()}".encode()).hexdigest()


def contact_key(account_id: str, contact_id: str) -> str:
    """Return the key of a contact within an account: it blocks a person whose address nobody knows."""
    return hashlib.sha256(f"contact:{account_id}/{contact_id}".encode()).hexdigest()


def short_key(*parts: str) -> str:
    """Return a 16-character key of an id, for remembering many ids in little space."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()
