"""Files on the disk and in the records."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import NotFound
from assay.files import Files, StoredFile
from assay.records import Records
from assay.testing import FakeClock

DAY_S = 86_400


class Room:
    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        self.clock = FakeClock()
        self.files = Files(
            directory / "files", self.records, max_file_mb=1, max_project_mb=1, clock=self.clock
        )

    def keep(
        self, content: bytes, *, purpose: str = "batch", expires_after_s: int | None = None
    ) -> StoredFile:
        incoming = self.files.begin()
        incoming.write(content)
        return self.files.keep(
            incoming, "default", filename="a", purpose=purpose, actor="me", expires_after_s=expires_after_s
        )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.records.close()


def test_a_file_whose_time_is_over_is_gone_and_swept(room: Room) -> None:
    soon = room.keep(b"soon", expires_after_s=60)
    later = room.keep(b"later")
    room.clock.advance(61)
    with pytest.raises(NotFound):
        room.files.get("default", soon.id)
    assert [each.id for each in room.files.page("default")] == [later.id]
    assert room.files.path(soon).exists()
    assert room.files.has_expired()
    assert room.files.sweep() == 1
    assert not room.files.has_expired()
    assert not room.files.path(soon).exists()
    assert b"".join(room.files.pieces(later)) == b"later"


def test_questions_and_answers_go_with_the_projects_content(room: Room) -> None:
    old = room.keep(b"old")
    document = room.keep(b"document", purpose="user_data")
    room.clock.advance(5 * DAY_S)
    new = room.keep(b"new", purpose="batch_output")
    assert room.files.oldest() == {"default": old.created_at_ns}
    assert room.files.purge("default", user_id="ann") == 0
    assert room.files.purge("default", before_ns=new.created_at_ns) == 1
    assert {each.id for each in room.files.page("default")} == {document.id, new.id}
    assert not room.files.path(old).exists()


def test_content_that_was_not_kept_leaves_nothing(room: Room) -> None:
    incoming = room.files.begin()
    incoming.write(b"half")
    incoming.close()
    assert list(room.files._directory.iterdir()) == []
