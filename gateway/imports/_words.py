"""Reviewed tables that turn the free text of a CRM into our words: countries, titles, zones, addresses."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import EmailStr, TypeAdapter, ValidationError

from domain import Role, Tier

_COUNTRIES = {
    "AE": ("united arab emirates", "uae"),
    "AR": ("argentina",),
    "AT": ("austria", "österreich"),
    "AU": ("australia",),
    "BE": ("belgium", "belgië", "belgique", "belgien"),
    "BG": ("bulgaria",),
    "BR": ("brazil", "brasil"),
    "CA": ("canada",),
    "CH": ("switzerland", "schweiz", "suisse", "svizzera"),
    "CL": ("chile",),
    "CN": ("china", "people's republic of china"),
    "CO": ("colombia",),
    "CY": ("cyprus",),
    "CZ": ("czechia", "czech republic", "česko"),
    "DE": ("germany", "deutschland", "allemagne"),
    "DK": ("denmark", "danmark"),
    "EE": ("estonia", "eesti"),
    "EG": ("egypt",),
    "ES": ("spain", "españa"),
    "FI": ("finland", "suomi"),
    "FR": ("france",),
    "GB": ("united kingdom", "uk", "great britain", "england", "scotland", "wales", "northern ireland"),
    "GR": ("greece", "hellas"),
    "HK": ("hong kong",),
    "HR": ("croatia", "hrvatska"),
    "HU": ("hungary", "magyarország"),
    "ID": ("indonesia",),
    "IE": ("ireland", "republic of ireland"),
    "IL": ("israel",),
    "IN": ("india",),
    "IS": ("iceland",),
    "IT": ("italy", "italia"),
    "JP": ("japan",),
    "KE": ("kenya",),
    "KR": ("south korea", "korea, republic of", "republic of korea"),
    "LI": ("liechtenstein",),
    "LT": ("lithuania", "lietuva"),
    "LU": ("luxembourg", "luxemburg"),
    "LV": ("latvia", "latvija"),
    "MA": ("morocco",),
    "MT": ("malta",),
    "MX": ("mexico", "méxico"),
    "MY": ("malaysia",),
    "NG": ("nigeria",),
    "NL": ("netherlands", "the netherlands", "holland", "nederland"),
    "NO": ("norway", "norge"),
    "NZ": ("new zealand",),
    "PE": ("peru", "perú"),
    "PH": ("philippines",),
    "PL": ("poland", "polska"),
    "PT": ("portugal",),
    "RO": ("romania", "românia"),
    "RS": ("serbia",),
    "SA": ("saudi arabia",),
    "SE": ("sweden", "sverige"),
    "SG": ("singapore",),
    "SI": ("slovenia", "slovenija"),
    "SK": ("slovakia", "slovensko"),
    "TH": ("thailand",),
    "TR": ("turkey", "türkiye"),
    "TW": ("taiwan",),
    "UA": ("ukraine",),
    "US": ("united states", "united states of america", "usa", "u.s.a.", "u.s."),
    "VN": ("vietnam", "viet nam"),
    "ZA": ("south africa",),
}
_COUNTRY_BY_NAME = {name: code for code, names in _COUNTRIES.items() for name in (code.lower(), *names)}

# The first line that matches decides, so the exceptions stand before the rules they are exceptions to.
_TITLES = (
    (r"\b(assistant|assistentin?|intern|trainee|student|secretary)\b", Role.UNKNOWN),
    (r"\b(vice[ -]president|s?vp|evp|avp)\b", Role.DECISION_MAKER),
    (r"\b(chief|ceo|cfo|coo|cto|cio|cmo|cro|ciso|founder|co-?founder|owner|president|partner)\b",
     Role.EXECUTIVE_SPONSOR),
    (r"\b(managing director|board member|chair(man|woman|person)?|geschäftsführer(in)?)\b",
     Role.EXECUTIVE_SPONSOR),
    (r"\b(director|head|leiter(in)?)\b", Role.DECISION_MAKER),
    (r"\b(architect|consultant|advis[eo]r|principal|lead|manager|controller|buyer|procurement)\b",
     Role.INFLUENCER),
    (r"\b(engineer|developer|analyst|admin(istrator)?|specialist|scientist|operator|designer|technician)\b",
     Role.PRACTITIONER),
    (r"\b(researcher|coordinator|associate|representative|marketer)\b", Role.PRACTITIONER),
)  # fmt: skip
_ROLE_BY_TITLE = tuple((re.compile(pattern), role) for pattern, role in _TITLES)

_ROLE_BY_BUYING_ROLE = {
    "EXECUTIVE_SPONSOR": Role.EXECUTIVE_SPONSOR,
    "DECISION_MAKER": Role.DECISION_MAKER,
    "BUDGET_HOLDER": Role.DECISION_MAKER,
    "CHAMPION": Role.CHAMPION,
    "INFLUENCER": Role.INFLUENCER,
    "BLOCKER": Role.INFLUENCER,
    "LEGAL_AND_COMPLIANCE": Role.INFLUENCER,
    "END_USER": Role.PRACTITIONER,
}

_FREE_MAIL = frozenset({
    "126.com", "163.com", "aol.com", "bluewin.ch", "free.fr", "fastmail.com", "gmail.com", "gmx.at",
    "gmx.ch", "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.co.uk", "hotmail.com",
    "hotmail.fr", "icloud.com", "laposte.net", "libero.it", "live.com", "mac.com", "mail.com",
    "mail.ru", "me.com", "msn.com", "naver.com", "orange.fr", "outlook.com", "outlook.de", "pm.me",
    "proton.me", "protonmail.com", "qq.com", "rediffmail.com", "rocketmail.com", "seznam.cz",
    "t-online.de", "tutanota.com", "wanadoo.fr", "web.de", "wp.pl", "yahoo.co.in", "yahoo.co.uk",
    "yahoo.com", "yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com", "zoho.com",
})  # fmt: skip

_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_ZONES = {zone.casefold(): zone for zone in available_timezones()}
_EMAIL = TypeAdapter(EmailStr)
_LONGEST_NAME = 300
_LONGEST_FACT = 1_000


def country_code(name: str) -> str | None:
    """Return the ISO 3166 code of a country by its common name or code, or None if it is not in our table."""
    return _COUNTRY_BY_NAME.get(name.strip().casefold())


def role_of(buying_roles: str, title: str) -> Role:
    """Return the part in the buying group: as a person set it in HubSpot, else as the title suggests."""
    named = {_ROLE_BY_BUYING_ROLE.get(part.strip().upper()) for part in buying_roles.split(";")}
    for role in _ROLE_BY_BUYING_ROLE.values():
        if role in named:
            return role
    words = title.casefold()
    return next((role for pattern, role in _ROLE_BY_TITLE if pattern.search(words)), Role.UNKNOWN)


def tier_of(text: str) -> Tier:
    """Return the tier HubSpot's ideal customer profile names, the third if it names none."""
    try:
        return Tier(text.lower())
    except ValueError:
        return Tier.THREE


def zone_of(text: str) -> str | None:
    """Return an IANA zone from HubSpot's spelling (`europe_slash_berlin`) or its own, or None."""
    return _ZONES.get(text.replace("_slash_", "/").casefold())


def domain_of(text: str) -> str | None:
    """Return the bare lower-case domain in a domain or web address, or None if there is none."""
    host = text.strip().lower()
    if "/" in host or ":" in host:
        try:
            host = urlsplit(host if "//" in host else f"//{host}").hostname or ""
        except ValueError:
            return None
    host = host.removeprefix("www.").rstrip(".")
    try:
        ascii_host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return None
    return ascii_host if len(ascii_host) <= _LONGEST_NAME and _DOMAIN.fullmatch(ascii_host) else None


def mail_domain_of(email: str) -> str | None:
    """Return the domain of an address if it can name a company; free mail providers cannot."""
    domain = domain_of(email.rpartition("@")[2]) if "@" in email else None
    return None if domain in _FREE_MAIL else domain


def email_of(text: str) -> str | None:
    """Return a deliverable-looking address, or None for anything else, such as a hash."""
    if "@" not in text:
        return None
    try:
        return _EMAIL.validate_python(text)
    except ValidationError:
        return None


def address_key(text: str) -> str:
    """Return the form in which addresses are compared, hashed ones included."""
    return text.strip().casefold()


def one_line(text: str, limit: int = _LONGEST_NAME) -> str:
    """Return text as one line without control characters, shortened to the limit with an ellipsis."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def page_of(url: str) -> str:
    """Return a web address without query and fragment: they carry tokens and addresses of persons."""
    return url.partition("#")[0].partition("?")[0]


def facts_of(**values: str | datetime | None) -> dict[str, str]:
    """Return the facts that hold anything, each one line of at most 1,000 characters."""
    facts: dict[str, str] = {}
    for name, value in values.items():
        text = value.isoformat() if isinstance(value, datetime) else one_line(value or "", _LONGEST_FACT)
        if text:
            facts[name] = text
    return facts
