"""What the source of a model says about its fields, for schemas that explain themselves."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from typing import cast

from pydantic import BaseModel


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the text that stands below each field in the source of a model.

    Args:
        model: The model; what it inherits comes from the source of its base.

    Returns:
        The text of each field that has one, on one line, by the field's name.
    """
    said: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner is not BaseModel and issubclass(owner, BaseModel):
            said |= _documented(owner.__module__).get(owner.__name__, {})
    return said


@cache
def _documented(module: str) -> dict[str, dict[str, str]]:
    """Return the text below each field of each class of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found: dict[str, dict[str, str]] = {}
    for owner in tree.body:
        if not isinstance(owner, ast.ClassDef):
            continue
        texts = found.setdefault(owner.name, {})
        for field, below in zip(owner.body, owner.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                texts[field.target.id] = " ".join(inspect.cleandoc(cast("str", below.value.value)).split())
    return found
