"""Typed CEL: conditions checked against pydantic models before they run."""
