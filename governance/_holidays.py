"""On which days a country does not work: public holidays and its own weekend.

National holidays only: what one region keeps is not known of a person. They come from the `holidays`
library, computed offline; dates that are set year by year (moon sightings, substitute days) are as good as
its installed version.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache

_DAY = timedelta(days=1)
_YEARS_KEPT = 4_096
"""Country years in memory: all 250 countries for sixteen years, a few hundred dates each."""


@cache
def known_countries() -> frozenset[str]:
    """Return the countries whose holidays are known, as ISO 3166-1 alpha-2 codes."""
    import holidays  # noqa: PLC0415 - takes a tenth of a second, which commands without policies need not pay

    return frozenset(holidays.list_supported_countries(include_aliases=False))


@lru_cache(maxsize=_YEARS_KEPT)
def public_holidays(country: str, year: int) -> frozenset[date]:
    """Return the public holidays of a country that lie in a year, substitute days among them.

    Args:
        country: One of `known_countries`.
        year: A calendar year.

    Raises:
        NotImplementedError: Nobody knows the holidays of this country.
    """
    return _off(country, year)[0]


@lru_cache(maxsize=_YEARS_KEPT)
def non_business_days(country: str, year: int) -> frozenset[date]:
    """Return the public holidays and the weekends of a country in a year; arguments as above.

    A weekend is the country's own: Friday and Saturday in Saudi Arabia. A Saturday that is worked in
    exchange for a bridge day stays a weekend.
    """
    return _off(country, year)[1]


@lru_cache(maxsize=_YEARS_KEPT)
def _off(country: str, year: int) -> tuple[frozenset[date], frozenset[date]]:
    import holidays  # noqa: PLC0415 - see known_countries

    with warnings.catch_warnings():
        # It warns about years for which it knows the fixed holidays only.
        warnings.simplefilter("ignore")
        # The neighbours too: a holiday on January 1 can be kept on December 31.
        found = holidays.country_holidays(country, years=(year - 1, year, year + 1), expand=False)
        kept = frozenset(day for day in found if day.year == year)
        first = date(year, 1, 1)
        days = (first + n * _DAY for n in range(366))
        weekends = frozenset(day for day in days if day.year == year and found.is_weekend(day))
    return kept, kept | weekends


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days off in any of some countries.

    Attributes:
        countries: Each one of `known_countries`.
        weekends: Whether weekends count beside public holidays.
    """

    countries: tuple[str, ...]
    weekends: bool

    def __contains__(self, day: date) -> bool:
        days = non_business_days if self.weekends else public_holidays
        return any(day in days(country, day.year) for country in self.countries)
