"""Imports: the history of an account from the systems that were there before Tutti.

`read_hubspot` reads an export and changes nothing; `import_hubspot` hands it to the accounts;
`render_report` shows what became of every row.
"""

from gateway.imports._hubspot import AccountHistory, HubSpotExport, read_hubspot
from gateway.imports._report import AccountFailure, ImportReport, render_report
from gateway.imports._sending import AccountDoor, import_hubspot
from gateway.imports._table import UnusableExportError
from gateway.imports._tally import Malformed, SkipReason, TableReport

__all__ = [
    "AccountDoor",
    "AccountFailure",
    "AccountHistory",
    "HubSpotExport",
    "ImportReport",
    "Malformed",
    "SkipReason",
    "TableReport",
    "UnusableExportError",
    "import_hubspot",
    "read_hubspot",
    "render_report",
]
