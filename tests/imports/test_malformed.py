"""Whatever the bytes are: a bad row is named with its place, the others are imported."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.imports import SkipReason, UnusableExportError, read_hubspot
from tests.imports.exports import EVENT_HEADER, NOW, balanced, export, places, signals, table

FORM = "contact_id,timestamp,form_id,title\n"


def test_bom_crlf_quoted_line_breaks_blank_lines_and_extra_columns_are_fine(tmp_path: Path) -> None:
    text = (
        "\ufeffcontact_id,timestamp,form_id,title,whatever\r\n"
        '10,2026-01-01 3:04:05,f,"two\r\nlines, ""one"" title",x\r\n'
        "\r\n11,2026-01-02 03:04:05,f,plain,y\r\n"
    )
    read = read_hubspot(export(tmp_path, contact_form_submission=text), now=NOW)
    assert table(read, "contact_form_submission").used == 2
    assert signals(read)[0].facts["title"] == 'two lines, "one" title'


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (b"10,2026-01-01", "2:form_id: 2 cells where the header has 4"),
        (b"10,2026-01-01,f,t,more", "2:title: 5 cells where the header has 4"),
        (b"10,2026-01-01,f,Gr\xfc\xdfe", "2:title: bytes that are not UTF-8; save the file as UTF-8"),
        (b"10,2026-01-01,f,a\0b", "2:title: a NUL byte; remove it from the cell"),
        (b"10,2026-01-01,f,%s" % (b"x" * 1_048_576), "2:row: a cell is longer than 131,072 characters"),
        (b'10,2026-01-01,f,"open', "2:row: text after a closing quote"),
        (b'10,2026-01-01,f,"a"b', "2:row: text after a closing quote"),
        (b"10,31/12/2025,f,t", "2:timestamp: '31/12/2025' is no date and time"),
        (b"10,,f,t", "2:timestamp: no date and time"),
        (b"10,1889-01-01 00:00:00,f,t", "2:timestamp: '1889-01-01 00:00:00' lies outside 1990 to 2100"),
        (b"10,9999-12-31 23:59:59,f,t", "lies outside 1990 to 2100"),
        (b"10,2026-02-30 10:00:00,f,t", "is no date and time"),
        (b"10,2026-07-01 10:00:00,f,t", "lies in the future"),
        (b"10,-1758270600000,f,t", "2:timestamp: '-1758270600000' is no date and time"),
        (b"-10,2026-01-01,f,t", "2:contact_id: '-10' is no id"),
        (b"two words,2026-01-01,f,t", "2:contact_id: 'two words' is no id"),
        (b",2026-01-01,f,t", "2:contact_id: no id"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_used(tmp_path: Path, row: bytes, complaint: str) -> None:
    content = FORM.encode() + row + b'\n11,2026-01-02 03:04:05,f,"fine"\n'
    read = read_hubspot(export(tmp_path, contact_form_submission=content), now=NOW)
    report = table(read, "contact_form_submission")
    assert (report.malformed, report.used) == (1, 1)
    place = places(read, "contact_form_submission")[0]
    assert place.startswith("contact_form_submission.csv:2:")
    assert complaint in place
    assert "; " in place
    assert len(place) < 300
    assert balanced(read)


def test_a_quote_that_never_closes_costs_its_own_row_only(tmp_path: Path) -> None:
    content = f'{FORM}10,2026-01-01,f,"never\n10,2026-01-02,f,b\n11,2026-01-03,f,c\n'
    read = read_hubspot(export(tmp_path, contact_form_submission=content), now=NOW)
    assert places(read, "contact_form_submission") == [
        "contact_form_submission.csv:2:row: a quote opens here and never closes; close the quote"
    ]
    assert table(read, "contact_form_submission").used == 2


def test_line_numbers_count_the_lines_inside_quotes(tmp_path: Path) -> None:
    content = f'{FORM}10,2026-01-01,f,"a\nb\nc"\n11,never,f,x\n'
    read = read_hubspot(export(tmp_path, contact_form_submission=content), now=NOW)
    assert places(read, "contact_form_submission")[0].startswith("contact_form_submission.csv:5:timestamp:")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01 4:05:06",
        "2026-03-01 04:05:06.000",
        "2026-03-01 04:05:06.000000 UTC",
        "2026-03-01 04:05:06.000000000Z",
        "2026-03-01T04:05:06",
        "2026-03-01T05:05:06+01:00",
        "2026-03-01T04:05:06Z",
        "1772337906000",
        "1772337906",
    ],
)
def test_every_usual_notation_means_the_same_moment(tmp_path: Path, text: str) -> None:
    read = read_hubspot(export(tmp_path, contact_form_submission=f"{FORM}10,{text},f,t\n"), now=NOW)
    assert [str(signal.observed_at) for signal in signals(read)] == ["2026-03-01 04:05:06+00:00"]


def test_ids_keep_their_leading_zeros(tmp_path: Path) -> None:
    contact = "id,property_associatedcompanyid\n001,1\n1,1\n"
    form = f"{FORM}001,2026-01-01,f,t\n1,2026-01-01,f,t\n"
    read = read_hubspot(export(tmp_path, contact=contact, contact_form_submission=form), now=NOW)
    assert {signal.contact_id for signal in signals(read)} == {"hubspot-001", "hubspot-1"}


def test_the_second_row_with_an_id_changes_nothing(tmp_path: Path) -> None:
    company = "id,property_name\n1,First\n1,Second\n"
    events = (
        f"{EVENT_HEADER}e1,OPEN,2026-01-01,ann@acme.example,,,\ne1,CLICK,2026-01-02,ann@acme.example,,,\n"
    )
    read = read_hubspot(export(tmp_path, company=company, email_event=events), now=NOW)
    assert [history.account.name for history in read.histories] == ["First"]
    assert table(read, "company").skipped == {SkipReason.DUPLICATE: 1}
    assert [signal.signal_id for signal in signals(read)] == ["email-open-e1"]
    assert table(read, "email_event").skipped == {SkipReason.DUPLICATE: 1}


def test_missing_and_empty_tables_are_fine_without_them_nothing_is(tmp_path: Path) -> None:
    read = read_hubspot(export(tmp_path, contact_list=b""), now=NOW)
    assert table(read, "deal").file is None
    assert table(read, "contact_list").rows == 0
    (tmp_path / "company.csv").unlink()
    with pytest.raises(UnusableExportError, match=r"no company\.csv or company_data\.csv; .* export it too"):
        read_hubspot(tmp_path, now=NOW)


def test_all_headers_that_cannot_be_used_are_named_at_once(tmp_path: Path) -> None:
    folder = export(
        tmp_path,
        deal="name\nx\n",
        email_event="id,type,id\n",
        ticket=b"\xff\xfei\0d\0",
        form=b"",
        company_data="id\n",
    )
    with pytest.raises(UnusableExportError) as caught:
        read_hubspot(folder, now=NOW)
    assert str(caught.value).splitlines() == [
        "company.csv and company_data.csv are the same table; keep one of them",
        "deal.csv:1: column deal_id is missing; add it to the export",
        "email_event.csv:1: column id appears twice; keep one of them",
        "form.csv:1: no header; export the table again with its column names",
        "ticket.csv:1: the file is UTF-16; export or save it as UTF-8",
    ]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableExportError, match="no such folder"):
        read_hubspot(tmp_path / "nowhere", now=NOW)


def test_files_that_are_no_tables_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.csv").write_text("a\n1\n")
    (tmp_path / "notes.txt").write_text("hello")
    assert read_hubspot(export(tmp_path), now=NOW).unknown_files == ("holiday.csv",)


def test_many_rows_take_time_in_proportion(tmp_path: Path) -> None:
    rows = "".join(
        f"e{number},{'SENT' if number % 4 == 0 else 'OPEN'},2026-01-01 03:04:05.{number % 1000:03},"
        f"{'ann' if number % 3 else 'bob'}@acme.example,false,,e{number - number % 4}\n"
        for number in range(20_000)
    )
    folder = export(tmp_path, email_event=EVENT_HEADER + rows)
    began = time.monotonic()
    read = read_hubspot(folder, now=NOW)
    assert table(read, "email_event").used == 20_000
    assert time.monotonic() - began < 20
