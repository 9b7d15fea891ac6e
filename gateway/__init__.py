"""The doors from outside: `gateway.app` over HTTP, `gateway.imports` for the history of other tools.

The two are imported by their own names, because whoever imports a file needs no web framework.
"""
