import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Unusable
from assay.records.secrets import SecretBox

box = SecretBox(bytes(32))


@given(secret=st.text(), name=st.text())
def test_a_sealed_secret_opens_under_its_name_only(secret: str, name: str) -> None:
    sealed = box.seal(name, secret)
    assert box.open(name, sealed) == secret
    with pytest.raises(Unusable, match="cannot be decrypted"):
        box.open(name + "x", sealed)


def test_sealing_twice_gives_two_texts_without_the_secret_in_them() -> None:
    first, second = box.seal("acme", "hunter2"), box.seal("acme", "hunter2")
    assert first != second
    assert "hunter2" not in first


def test_another_key_or_a_changed_text_does_not_open() -> None:
    sealed = box.seal("acme", "hunter2")
    swapped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for bad_box, text in (
        (SecretBox(b"1" * 32), sealed),
        (box, swapped),
        (box, "v2:" + sealed[3:]),
        (box, "rubbish"),
    ):
        with pytest.raises(Unusable):
            bad_box.open("acme", text)


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    sealed = SecretBox.in_directory(tmp_path).seal("acme", "hunter2")
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert SecretBox.in_directory(tmp_path).open("acme", sealed) == "hunter2"


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    SecretBox.in_directory(tmp_path)
    (tmp_path / "secret.key").chmod(0o644)
    with pytest.raises(Unusable, match="read by others"):
        SecretBox.in_directory(tmp_path)


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    SecretBox.in_directory(tmp_path)
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(Unusable, match="5 bytes"):
        SecretBox.in_directory(tmp_path)
