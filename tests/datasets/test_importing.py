"""Files of cases: what is read, and that every line that cannot be is named."""

import csv
import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.datasets import read_csv, read_jsonl, read_upload
from assay.datasets.importing import MAX_PROBLEMS
from assay.errors import BadRequest, InvalidRows

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def problems(body: bytes, *, table: bool = False) -> list[tuple[int, str]]:
    with pytest.raises(InvalidRows) as caught:
        (read_csv if table else read_jsonl)(body)
    return caught.value.rows


def test_jsonl_takes_text_and_objects_with_a_mark_and_windows_lines() -> None:
    body = b'\xef\xbb\xbf{"input": "a", "reference": "A"}\r\n\r\n{"id": 7, "input": {"x": 1}, "cluster": 3, "split": "test"}\r\n'
    first, second = read_jsonl(body)
    assert (first.input, first.reference, first.split) == ("a", "A", None)
    assert (second.id, second.inputs, second.cluster, second.split) == ("7", {"x": 1}, "3", "test")


def test_a_made_id_depends_on_the_input_alone() -> None:
    (one,), (other,) = read_jsonl(b'{"input": "a"}'), read_jsonl(b'{"input": "a", "reference": "corrected"}')
    assert one.id == other.id


def test_every_bad_line_is_named() -> None:
    body = b'{"input": "a"}\nnot json\n{"reference": "no input"}\n{"input": 3}\n{"input": "b", "refernce": 1}\n\xff\n{"input": {}}\n{"id": "", "input": "z"}'
    found = dict(problems(body))
    assert list(found) == [2, 3, 4, 5, 6, 7, 8]
    assert "not JSON" in found[2]
    assert "input" in found[3]
    assert "input" in found[4]
    assert "refernce" in found[5]
    assert "known: id, input" in found[5]


def test_the_same_id_twice_names_both_lines() -> None:
    assert problems(b'{"id": "x", "input": "a"}\n\n{"id": "x", "input": "b"}') == [
        (3, "the id 'x' is on line 1 already")
    ]
    (problem,) = problems(b'{"input": "a"}\n{"input": "a", "reference": 1}')
    assert "the same input" in problem[1]


def test_only_the_first_problems_are_listed_and_all_are_counted() -> None:
    with pytest.raises(InvalidRows, match=r"^50 lines cannot be used, so nothing was imported") as caught:
        read_jsonl(b"x\n" * 50)
    assert len(caught.value.rows) == MAX_PROBLEMS


def test_an_empty_file_is_refused() -> None:
    for body in (b"", b"\n\n", b"\xef\xbb\xbf"):
        with pytest.raises(BadRequest):
            read_jsonl(body)
        with pytest.raises(BadRequest):
            read_csv(body)


def test_a_case_of_more_than_a_mebibyte_is_named() -> None:
    ((number, said),) = problems(b'{"input": "a"}\n' + json.dumps({"input": "x" * (1 << 20)}).encode())
    assert number == 2
    assert "1,048,576" in said


def test_csv_with_an_input_column_keeps_the_others_as_metadata() -> None:
    (case,) = read_csv(b"id,input,reference,split,cluster,author\r\n1,hello,HELLO,test,,ann\r\n")
    assert (case.id, case.input, case.reference, case.split, case.cluster) == (
        "1",
        "hello",
        "HELLO",
        "test",
        None,
    )
    assert case.metadata == {"author": "ann"}


def test_csv_without_an_input_column_makes_inputs_of_the_others() -> None:
    (case,) = read_csv(b"question,context,reference,metadata.source\nwhy?,,because,web\n")
    assert case.input == {"question": "why?", "context": ""}
    assert case.metadata == {"source": "web"}


def test_csv_line_numbers_count_quoted_newlines() -> None:
    assert problems(b'id,input\n1,"two\nlines"\n2,b,c\n', table=True) == [(4, "3 cells; the header has 2")]


def test_csv_headers_that_say_nothing_are_refused() -> None:
    for body in (b"id,id,input\n1,1,a\n", b"id,,input\n1,1,a\n", b"id,reference\n1,a\n"):
        assert problems(body, table=True)[0][0] == 1
    with pytest.raises(InvalidRows, match="line 2: not UTF-8"):
        read_csv(b"input\n\xff\n")
    assert problems(b'input\n"unclosed\n', table=True)[0][0] == 2


def test_the_content_type_decides() -> None:
    assert read_upload(b"input\na\n", "text/csv; charset=utf-8")[0].input == "a"
    assert read_upload(b'{"input": "a"}', "application/json")[0].input == "a"


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_csv_gives_back_any_text(rows: list[tuple[str, str]]) -> None:
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(["input", "note"])
    writer.writerows(rows)
    cases = read_csv(target.getvalue().encode())
    assert [(case.input, case.metadata["note"]) for case in cases] == rows


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_import_or_be_refused(body: bytes) -> None:
    for read in (read_jsonl, read_csv):
        try:
            cases = read(body)
        except BadRequest:
            cases = []
        assert len({case.id for case in cases}) == len(cases)


@pytest.mark.parametrize("name", ["", "c"])
def test_a_table_of_a_million_columns_is_refused_at_once(name: str) -> None:
    header = ",".join(f"{name}{number if name else ''}" for number in range(1_000_000))
    began_s = time.monotonic()
    ((line, said),) = problems(f"{header}\n".encode(), table=True)
    assert (line, "1,000,000 columns" in said) == (1, True)
    assert time.monotonic() - began_s < 10
