"""The local stack: server, ledger, sinks, workers and gateway of one machine, as one thing."""

from tutti.local._children import (
    Addresses,
    Children,
    ChildSpec,
    Layout,
    Phase,
    Readiness,
    server,
    standard_children,
)
from tutti.local._errors import StackCode, StackError
from tutti.local._events import ChildState, Patience, StackEvent
from tutti.local._folder import Paths, Secrets, StackFolder
from tutti.local._ports import Ports
from tutti.local._serve import serve
from tutti.local._stack import LocalStack
from tutti.local._temporal import SEARCH_ATTRIBUTES

__all__ = [
    "SEARCH_ATTRIBUTES",
    "Addresses",
    "ChildSpec",
    "ChildState",
    "Children",
    "Layout",
    "LocalStack",
    "Paths",
    "Patience",
    "Phase",
    "Ports",
    "Readiness",
    "Secrets",
    "StackCode",
    "StackError",
    "StackEvent",
    "StackFolder",
    "serve",
    "server",
    "standard_children",
]
