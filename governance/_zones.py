"""In which time zones and countries a person may be."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain import Account, Contact

LIKELY = {
    "AU": (
        "Australia/Perth",
        "Australia/Adelaide",
        "Australia/Darwin",
        "Australia/Brisbane",
        "Australia/Sydney",
    ),
    "BR": ("America/Rio_Branco", "America/Manaus", "America/Sao_Paulo"),
    "CA": (
        "America/Vancouver",
        "America/Edmonton",
        "America/Regina",
        "America/Winnipeg",
        "America/Toronto",
        "America/Halifax",
        "America/St_Johns",
    ),
    "CL": ("America/Santiago", "America/Punta_Arenas"),
    "CN": ("Asia/Shanghai",),
    "DE": ("Europe/Berlin",),
    "EC": ("America/Guayaquil",),
    "ES": ("Atlantic/Canary", "Europe/Madrid"),
    "FR": ("Europe/Paris",),
    "GB": ("Europe/London",),
    "ID": ("Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"),
    "MX": (
        "America/Tijuana",
        "America/Hermosillo",
        "America/Mazatlan",
        "America/Mexico_City",
        "America/Cancun",
    ),
    "MY": ("Asia/Kuala_Lumpur",),
    "NZ": ("Pacific/Auckland",),
    "PT": ("Atlantic/Azores", "Europe/Lisbon"),
    "RU": (
        "Europe/Kaliningrad",
        "Europe/Moscow",
        "Europe/Samara",
        "Asia/Yekaterinburg",
        "Asia/Omsk",
        "Asia/Krasnoyarsk",
        "Asia/Irkutsk",
        "Asia/Yakutsk",
        "Asia/Vladivostok",
        "Asia/Magadan",
        "Asia/Kamchatka",
    ),
    "UA": ("Europe/Kyiv",),
    "US": (
        "Pacific/Honolulu",
        "America/Anchorage",
        "America/Los_Angeles",
        "America/Phoenix",
        "America/Denver",
        "America/Chicago",
        "America/New_York",
    ),
}
"""Countries whose zone list in the time zone database names more places than business contacts are in."""

Zones = tuple[ZoneInfo, ...]


@cache
def _database() -> dict[str, tuple[str, ...]]:
    """Zones by country code, as the time zone database lists them."""
    table: dict[str, list[str]] = {}
    text = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            code, _, zone = line.split("\t")[:3]
            table.setdefault(code, []).append(zone)
    return {code: tuple(sorted(zones)) for code, zones in table.items()}


def zones_of(country: str) -> tuple[str, ...]:
    """Return the names of the likely zones of a country; empty if it is not known."""
    return LIKELY.get(country) or _database().get(country, ())


@cache
def _loaded(names: tuple[str, ...]) -> Zones:
    return tuple(ZoneInfo(name) for name in names)


def possible_zones(contact: Contact | None, account: Account, otherwise: Zones) -> Zones:
    """Return every zone whose local time must be respected.

    The contact's own zone; else the account's, unless the contact is known to be in a country where that
    zone is not used; else all likely zones of the country; else those of the strict set.
    """
    if contact is not None and contact.time_zone is not None:
        return _loaded((contact.time_zone,))
    own = contact.country if contact is not None else None
    if account.time_zone is not None and (
        own is None or own == account.country or account.time_zone in zones_of(own)
    ):
        return _loaded((account.time_zone,))
    country = own or account.country
    return _loaded(zones_of(country) if country else ()) or otherwise


class Whereabouts(NamedTuple):
    """Where a person may be.

    Attributes:
        countries: Every country that must be respected, in the order of their codes.
        certain: Whether it is the one country they are in.
    """

    countries: tuple[str, ...]
    certain: bool


def possible_countries(contact: Contact | None, account: Account, otherwise: tuple[str, ...]) -> Whereabouts:
    """Return every country whose days and hours must be respected.

    The contact's own country; else the account's, unless the contact's time zone is not one of that
    country's: then it and the strict set. Without any country, or with a code that is none, the strict set.
    """
    own = contact.country if contact is not None else None
    country = own or account.country
    if country is None or not zones_of(country):
        return Whereabouts(otherwise, certain=False)
    own_zone = contact.time_zone if contact is not None else None
    if own is not None or own_zone is None or own_zone in _database().get(country, ()):
        return Whereabouts((country,), certain=True)
    return Whereabouts(tuple(sorted({country, *otherwise})), certain=False)
