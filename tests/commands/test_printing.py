"""What a list must keep in a narrow terminal."""

import pytest

from assay.commands.printing import day, minute, print_rows

ID = "01a20c9c-40b6-7083-8452-f2ea651946f2"


def test_the_first_column_stays_whole_and_the_others_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_rows("id", "name", "note", rows=[(ID, "n" * 30, "[bold]m[/bold]")])
    printed = capsys.readouterr().out
    assert ID in printed
    assert printed.count("n") - "name note".count("n") == 30
    assert "[bold]" in "".join(printed.split()), "what people wrote is no markup"
    assert max(map(len, printed.splitlines())) <= 60


def test_times_are_cut_to_what_a_person_reads() -> None:
    assert minute("2026-11-24T08:11:26.754092Z") == "2026-11-24 08:11"
    assert day("2026-11-24T08:11:26.754092Z") == "2026-11-24"
