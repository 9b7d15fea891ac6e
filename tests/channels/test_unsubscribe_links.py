import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.channels import UnsubscribeClaim, UnsubscribeLinks, UnsubscribeTokenError
from tests.channels.support import ADA, ADDRESS, KEY, LINKS

PREFIX = "https://tutti.example.com/unsubscribe/"
identifiers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:+-]{0,60}\Z")


def token(touch_id: str = "northwind/p-1/1", links: UnsubscribeLinks = LINKS) -> str:
    return links.url("northwind", "c-1", touch_id, ADA).rsplit("/", 1)[1]


@given(identifiers, identifiers, identifiers, st.booleans())
def test_a_link_says_what_was_put_into_it(account: str, contact: str, rest: str, own: bool) -> None:  # noqa: FBT001 - hypothesis passes it so
    touch_id = f"{account}/{rest}/1" if own else f"{rest}/1"

    url = LINKS.url(account, contact, touch_id, ADA)

    assert url.startswith(PREFIX)
    assert LINKS.read(url.removeprefix(PREFIX)) == UnsubscribeClaim(
        account_id=account, contact_id=contact, touch_id=touch_id, person_key=ADA
    )


def test_a_link_holds_no_address_and_fits_into_a_line_of_mail() -> None:
    longest = LINKS.url("a" * 128, "c" * 128, f"{'a' * 128}/{'p' * 128}/1", ADA)
    raw = base64.urlsafe_b64decode(longest.removeprefix(PREFIX) + "==")

    assert ADDRESS.encode() not in raw
    assert len(f"List-Unsubscribe: <{longest}>") <= 998


@given(st.data())
def test_whatever_is_changed_in_a_token_it_is_refused(data: st.DataObject) -> None:
    good = token()
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda c: c != good[at]))

    with pytest.raises(UnsubscribeTokenError):
        LINKS.read(good[:at] + letter + good[at + 1 :])


@given(st.text())
def test_garbage_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(UnsubscribeTokenError):
        LINKS.read(text)


@pytest.mark.parametrize("bad", ["", "A", "x" * 1_000_000, token() + "=", token()[:-1], f" {token()}", "ü"])
def test_malformed_tokens_are_refused(bad: str) -> None:
    with pytest.raises(UnsubscribeTokenError):
        LINKS.read(bad)


def test_another_key_makes_other_links() -> None:
    other = UnsubscribeLinks("https://tutti.example.com", SecretStr("z" * 32))

    with pytest.raises(UnsubscribeTokenError):
        LINKS.read(token(links=other))


def test_a_key_that_is_too_short_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="TUTTI_SIGNING_KEY has 6 bytes") as caught:
        UnsubscribeLinks("https://tutti.example.com", SecretStr("hunter"))

    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8321/", "http://localhost:1", "http://[::1]:8321"])
def test_this_machine_needs_no_encryption(url: str) -> None:
    assert UnsubscribeLinks(url, KEY).url("a", "c", "t", ADA).startswith(f"{url.rstrip('/')}/unsubscribe/")


@pytest.mark.parametrize(
    "url", ["", "tutti.example.com", "ftp://x", "https://x/?q=1", "https://x y", "http://tutti.example.com"]
)
def test_an_address_that_mail_programs_would_not_follow_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="TUTTI_PUBLIC_URL"):
        UnsubscribeLinks(url, KEY)
