"""How a message looks: two layouts, and no way from a text into a template, a tag or a header."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from jinja2.meta import find_undeclared_variables

from activities.channels import ChannelSettingsError, EmailSettings, ExecutiveSettings
from activities.channels._message import HTML_LAYOUT, TEXT_LAYOUT, UNSUBSCRIBE_PLACEHOLDER
from activities.channels._templates import OWN_TEMPLATES, linked, paragraphs_of
from domain import ReceiptStatus
from governance.content import PLACEHOLDER
from ledger import Ledger
from tests.channels.support import (
    ADA,
    ADDRESS,
    LINKS,
    a_touch,
    content,
    email_activity,
    mail_server,
    parsed,
    perform,
    to,
)

LINK = LINKS.url("northwind", "c-1", "northwind/p-1/1", ADA)


class Seen(HTMLParser):
    """What a browser makes of HTML: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.words += data


async def sent(
    ledger: Ledger, *, settings: dict[str, object] | None = None, **changes: object
) -> tuple[str, str]:
    """Send a touch through a real server; return the plain and the HTML part that arrived."""
    async with mail_server() as relay:
        receipt = await perform(
            email_activity(ledger, relay.port, timeout=20.0, **(settings or {})), a_touch(**changes)
        )
        assert receipt.status is ReceiptStatus.ACCEPTED, receipt.detail
        message = parsed(relay)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    return content(message, "plain"), content(message, "html")


async def test_a_text_becomes_readable_html(ledger: Ledger) -> None:
    text = "Hello Ada,\n\nsee https://example.com/a?x=1&y=2.\nIt is short.\n\nBest"

    plain, html = await sent(ledger, text=text)

    seen = Seen(html)
    assert plain.startswith(text)
    assert seen.links == ["https://example.com/a?x=1&y=2", LINK]
    assert seen.tags.count("br") == 1
    assert html.count("<p ") == 3 + 2  # three paragraphs, the sender and the way out
    assert "It is short." in seen.words


async def test_html_of_the_touch_goes_in_as_it_was_decided_on(ledger: Ledger) -> None:
    html_of_touch = "<p>Hello <b>Ada</b>, R&amp;D awaits.</p>"

    plain, html = await sent(ledger, text="Hello Ada", html=html_of_touch)

    assert html_of_touch in html
    assert "R&amp;D" not in plain


async def test_the_way_out_and_the_postal_address_are_in_both_parts(ledger: Ledger) -> None:
    address = "Northwind Ltd, 1 Harbour Street, Hull"

    plain, html = await sent(ledger, settings={"postal_address": address})

    assert address in plain
    assert address in html
    assert plain.rstrip().endswith(LINK)
    assert LINK in Seen(html).links


async def test_the_placeholder_in_a_text_becomes_the_link(ledger: Ledger) -> None:
    plain, html = await sent(
        ledger,
        text="Not for you? {{ unsubscribe_url }}",
        html='<a href="{{ unsubscribe_url }}">Not for you?</a>',
    )

    assert f"Not for you? {LINK}" in plain
    assert f'<a href="{LINK}">Not for you?</a>' in html
    assert "{{" not in plain + html


def test_the_placeholder_is_the_one_that_contents_of_plays_leave() -> None:
    assert f"{{{{ {PLACEHOLDER} }}}}" == UNSUBSCRIBE_PLACEHOLDER


def test_the_guide_names_every_setting_and_every_value_of_the_layouts() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "channels-email.md").read_text(encoding="utf-8")
    settings = [f"TUTTI_EMAIL_{name.upper()}" for name in EmailSettings.model_fields]
    settings += [f"_{name.upper()}" for name in ExecutiveSettings.model_fields]

    assert [name for name in settings if name not in guide] == []
    assert [name for name in _values_of_layouts() if f"`{name}`" not in guide] == []


def _values_of_layouts() -> set[str]:
    """What the layouts use, as Jinja reads them."""
    environment = Environment(autoescape=True)
    environment.filters["linked"] = linked
    sources = [(OWN_TEMPLATES / name).read_text(encoding="utf-8") for name in (TEXT_LAYOUT, HTML_LAYOUT)]
    return set().union(*(find_undeclared_variables(environment.parse(source)) for source in sources))


@pytest.mark.parametrize(
    "attack",
    [
        "{{ 7*7 }}",
        "{{unsubscribe_url}}",
        "{{ unsubscribe_url | upper }}",
        "{% for x in range(9) %}49{% endfor %}",
        "{% include 'message.txt.j2' %}",
        "{# nothing #}",
        "{{ ''.__class__.__mro__ }}",
        "${7*7} #{7*7} <%= 7*7 %>",
    ],
)
async def test_a_text_is_never_a_template(ledger: Ledger, attack: str) -> None:
    plain, html = await sent(ledger, text=f"a {attack} z", subject=attack, recipient=to(ADDRESS, attack))
    _, own_html = await sent(ledger, touch_id="northwind/p-1/2", text="a", html=f"a {attack} z")

    assert plain.startswith(f"a {attack} z\n")
    assert f"a {attack} z" in Seen(html).words
    assert f"a {attack} z" in own_html


ATTACKS = [
    "<script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '<a href="javascript:alert(1)">x</a>',
    "javascript:alert(1)",
    'https://example.com/"onmouseover="alert(1)',
    "https://example.com/'><script>alert(1)</script>",
    "&lt;script&gt;",
    "<!--",
    "]]>",
]


@pytest.mark.parametrize("attack", ATTACKS)
async def test_markup_in_text_subject_or_name_stays_text(ledger: Ledger, attack: str) -> None:
    plain, html = await sent(ledger, text=f"a {attack} z", subject=attack, recipient=to(ADDRESS, attack))

    seen = Seen(html)
    assert plain.startswith(f"a {attack} z\n")
    assert {"script", "img"}.isdisjoint(seen.tags)
    assert not any(name.startswith("on") for name in seen.attributes)
    assert all(link.startswith("https://") for link in seen.links)
    assert f"a {attack} z" in seen.words


@pytest.mark.parametrize("end", ["\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x00"])
async def test_no_line_end_in_a_text_reaches_the_headers(ledger: Ledger, end: str) -> None:
    text = f"one{end}Bcc: everybody@example.com{end}{end}.{end}two"

    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch(text=text))

    message = parsed(relay)
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert message["Bcc"] is None
    assert relay.envelopes[0].rcpt_tos == [ADDRESS]
    assert "two" in content(message, "plain")
    assert "two" in content(message, "html")


@pytest.mark.parametrize("unit", ["x", "ü", "<", "\n.", "https://example.com/ ", "日本"])
async def test_the_longest_text_arrives_whole(ledger: Ledger, unit: str) -> None:
    text = (unit * 20_000)[:20_000].strip()

    plain, html = await sent(ledger, text=text)

    assert plain.startswith(text)
    assert len(Seen(html).words) >= len(text.replace("\n", ""))


@given(st.text(max_size=300))
def test_html_made_of_text_says_what_the_text_says(text: str) -> None:
    seen = Seen(f"<p>{linked(text)}</p>")

    assert set(seen.tags) <= {"p", "a", "br"}
    # A parser of HTML turns these into something else; no reader can tell.
    assert re.sub(r"[\r\n\x00]", "", seen.words) == re.sub(r"[\r\n\x00]", "", text)


@given(st.text(alphabet="ab \t\n", max_size=60))
def test_no_word_is_lost_between_paragraphs(text: str) -> None:
    parts = paragraphs_of(text)

    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part.strip() and "\n\n" not in part for part in parts)


def test_a_long_link_is_shown_short_and_leads_where_it_did() -> None:
    url = "https://example.com/" + "a" * 300

    seen = Seen(linked(f"see {url}, please"))

    assert seen.links == [url]
    assert re.fullmatch(r"see https://example\.com/a{51}…, please", seen.words)


def write(folder: Path, **files: str) -> Path:
    """Write layouts; the two that are needed say next to nothing unless given."""
    for name, text in ({"message_txt": "{{ text }}", "message_html": "<p>{{ text }}</p>"} | files).items():
        (folder / f"{name.replace('_', '.')}.j2").write_text(text, encoding="utf-8")
    return folder


async def test_a_folder_of_layouts_replaces_ours(ledger: Ledger, tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        message_txt="Dear {{ recipient_name }}, {{ text }} {{ unsubscribe_url }}\n"
        "{% include 'foot.txt.j2' %}",
        message_html="<h1>{{ subject }}</h1>{% for p in paragraphs %}<i>{{ p | linked }}</i>{% endfor %}",
        foot_txt="{{ sender_name }} & {{ sender_address }}, {{ postal_address or 'nowhere' }}",
    )

    plain, html = await sent(ledger, settings={"templates": folder}, subject="A & B", text="one\n\ntwo")

    assert plain == (f"Dear Ada Lovelace, one\n\ntwo {LINK}\nNorthwind Sales & sales@example.com, nowhere\n")
    assert html.strip() == "<h1>A &amp; B</h1><i>one</i><i>two</i>"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"message_txt": "a\n{% if %}\n"}, r"message\.txt\.j2, line 2 cannot be read: "),
        (
            {"message_html": "a\nb\n{{ recipint_name }}"},
            r"message\.html\.j2, line 3 fails: 'recipint_name' is undef",
        ),
        ({"message_html": "{% if html %}{{ htlm }}{% endif %}"}, r"message\.html\.j2, line 1 fails: 'htlm'"),
        ({"message_txt": "\n{{ 1 / 0 }}"}, r"message\.txt\.j2, line 2 fails: ZeroDivisionError"),
        (
            {"message_txt": "\n{% include 'foot.txt.j2' %}"},
            r"foot\.txt\.j2 is missing, .*message\.txt\.j2, line 2",
        ),
        ({"message_txt": "{{ text.__class__ }}"}, r"message\.txt\.j2, line 1 fails: .*unsafe"),
        ({"message_txt": "{% include 'a.j2' %}", "a": "\n\n{{ nope }}"}, r"a\.j2, line 3 fails: 'nope'"),
        ({"message_txt": "{% include '../secret' %}"}, r"secret is missing"),
    ],
)
async def test_a_layout_that_fails_is_named_at_start_up(
    ledger: Ledger, tmp_path: Path, files: dict[str, str], says: str
) -> None:
    with pytest.raises(ChannelSettingsError, match=says) as caught:
        email_activity(ledger, 25, templates=write(tmp_path, **files))

    assert "\n" not in str(caught.value)


async def test_a_folder_without_a_layout_is_named_at_start_up(ledger: Ledger, tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "message.html.j2").unlink()

    with pytest.raises(ChannelSettingsError, match=r"message\.html\.j2 is missing"):
        email_activity(ledger, 25, templates=folder)


async def test_a_layout_that_fails_for_one_touch_only_rejects_that_touch(
    ledger: Ledger, tmp_path: Path
) -> None:
    folder = write(tmp_path, message_txt="{{ text }}\n{% if subject == 'Secret' %}{{ txet }}{% endif %}")

    async with mail_server() as relay:
        activity = email_activity(ledger, relay.port, templates=folder)
        receipt = await perform(activity, a_touch(subject="Secret"))
        other = await perform(activity, a_touch(touch_id="northwind/p-1/2"))

    assert receipt.status is ReceiptStatus.REJECTED
    assert re.search(r"message\.txt\.j2, line 2 fails: 'txet' is undefined", receipt.detail or "")
    assert other.status is ReceiptStatus.ACCEPTED
    assert len(relay.envelopes) == 1


async def test_html_without_a_text_is_refused(ledger: Ledger) -> None:
    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch(text=" ", html="<p>Hello</p>"))

    assert receipt.status is ReceiptStatus.REJECTED
    assert "no text" in (receipt.detail or "")
    assert relay.envelopes == []
