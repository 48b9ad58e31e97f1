"""What goes when, by the policy of each project and the limit of the disk."""

from typing import Any

import pytest

from assay import settings as settings_room
from assay.errors import BadRequest
from assay.spans.types import StoredDay
from assay.traces.retention import Policy, default_policy, due, over_limit

TODAY = 20_600
DEFAULT = Policy(content_days=30, row_days=400)
MIB = 2**20


def day(age: int, **fields: Any) -> StoredDay:
    """A sealed day that ended so many days ago, with 1 MiB of rows and 10 of content."""
    given: dict[str, Any] = {
        "project": "default", "imported": False, "spans": 5, "scores": 0, "bytes": MIB,
        "content_bytes": 10 * MIB, "is_sealed": True, "has_content": True,
    }  # fmt: skip
    return StoredDay(day=TODAY - 1 - age, **given | fields)


def test_content_goes_at_its_time_and_rows_at_theirs() -> None:
    days = [
        day(29),
        day(30),
        day(31, has_content=False),
        day(399, has_content=False),
        day(400, has_content=False),
    ]

    found = due(days, {}, DEFAULT, today=TODAY)

    assert (found.content, found.days) == ([days[1]], [days[4]])


def test_what_arrived_in_the_last_minute_of_a_day_is_kept_the_whole_time() -> None:
    yesterday = day(0)

    assert not due([yesterday], {}, Policy(content_days=1, row_days=1), today=TODAY)
    assert due([yesterday], {}, Policy(content_days=1, row_days=1), today=TODAY + 1).days == [yesterday]


def test_each_project_has_its_own_policy_and_imports_stay_unless_it_says_so() -> None:
    short = Policy(content_days=7, row_days=None, imports=True)
    days = [
        day(10),
        day(10, project="short"),
        day(500, imported=True),
        day(500, imported=True, project="short"),
    ]

    found = due(days, {"short": short}, DEFAULT, today=TODAY)

    assert (found.content, found.days) == ([days[1], days[3]], [])


def test_for_ever_is_for_ever() -> None:
    assert not due([day(30_000)], {}, Policy(content_days=None, row_days=None), today=TODAY)


def test_over_the_limit_the_oldest_content_goes_first_then_the_oldest_rows() -> None:
    days = [day(3), day(1, project="b"), day(2), day(9, imported=True), day(-1)]

    assert over_limit(days, {}, DEFAULT, excess_bytes=0, today=TODAY).content == []
    little = over_limit(days, {}, DEFAULT, excess_bytes=15 * MIB, today=TODAY)
    assert (little.content, little.days) == ([days[0], days[2]], [])
    much = over_limit(days, {}, DEFAULT, excess_bytes=31 * MIB + 1, today=TODAY)
    assert (much.content, much.days) == ([days[1]], [days[0], days[2]])
    all_of_it = over_limit(days, {}, DEFAULT, excess_bytes=99 * MIB, today=TODAY)
    assert (all_of_it.content, len(all_of_it.days)) == ([], 3), "today and imports stay"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"content_days": 0, "row_days": 1}, "content_days"),
        ({"content_days": 1, "row_days": 40_000}, "row_days"),
        ({"content_days": 31, "row_days": 30}, "row_days"),
        ({"content_days": None, "row_days": 30}, "row_days"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Policy(**fields)
    assert caught.value.param == param


def test_the_settings_say_what_holds_for_projects_that_have_not_chosen() -> None:
    assert default_policy(settings_room.load(environ={})) == DEFAULT
    chosen = settings_room.load(environ={"ASSAY_CONTENT_DAYS": "0", "ASSAY_ROW_DAYS": "0"})
    assert default_policy(chosen) == Policy(content_days=None, row_days=None)
