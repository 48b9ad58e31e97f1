"""Secrets are kept encrypted, opened for whoever needs them, and sealed anew without a moment in which one is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import BadRequest, NotFound, Unusable, UpstreamDown
from assay.records import Records
from assay.secrets import Vault, store
from assay.secrets import vault as module

VALUE = "sk-very-secret-0123456789"
OLD, NEW = "11" * 32, "22" * 32


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """Records in a directory of their own."""
    made = Records.in_directory(tmp_path)
    made.upgrade()
    yield made
    made.close()


@pytest.fixture
def vault(records: Records, tmp_path: Path) -> Vault:
    """A vault with the key in a file."""
    return Vault(records, tmp_path)


def everything(folder: Path) -> bytes:
    """What lies on the disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_secret_is_revealed_by_reference_and_lies_nowhere_in_clear(vault: Vault, tmp_path: Path) -> None:
    vault.set("acme", f"{VALUE}\n")

    assert vault.reveal("secret:acme") == VALUE
    assert vault.reveal("sk-literal") == "sk-literal"
    assert vault.reveal(None) is None
    assert VALUE.encode() not in everything(tmp_path)
    assert [secret.name for secret in vault.list()] == ["acme"]


def test_a_value_can_be_replaced_and_removed(vault: Vault) -> None:
    first = vault.set("acme", "one")
    second = vault.set("acme", "two")

    assert vault.reveal("secret:acme") == "two"
    assert (first.created_at_ns, len(vault.list())) == (second.created_at_ns, 1)
    vault.remove("acme")
    with pytest.raises(UpstreamDown, match="'acme' is not set") as caught:
        vault.reveal("secret:acme")
    assert caught.value.hint == "Set it: assay secrets set acme"
    with pytest.raises(NotFound):
        vault.remove("acme")


@pytest.mark.parametrize(
    ("name", "value"), [("", "x"), ("a b", "x"), ("../x", "x"), ("a", ""), ("a", "\n"), ("a", "x" * 20_000)]
)
def test_what_cannot_be_a_secret_is_refused(vault: Vault, name: str, value: str) -> None:
    with pytest.raises(BadRequest):
        vault.set(name, value)


def test_rotating_seals_everything_with_a_new_key_and_the_old_one_opens_nothing(
    vault: Vault, records: Records, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        vault.set(name, f"{VALUE}-{name}")
    old, before = (tmp_path / "secret.key").read_bytes(), vault.fingerprint()

    assert vault.rotate() == 2

    assert vault.reveal("secret:b") == f"{VALUE}-b"
    assert Vault(records, tmp_path).reveal("secret:a") == f"{VALUE}-a"
    assert vault.fingerprint() != before
    (tmp_path / "secret.key").write_bytes(old)
    with pytest.raises(UpstreamDown, match="cannot be decrypted"):
        Vault(records, tmp_path).reveal("secret:a")


@pytest.mark.parametrize("step", ["add_key", "reseal", "drop_older_keys"])
def test_a_crash_while_rotating_leaves_every_secret_readable(
    vault: Vault, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for name in ("a", "b", "c"):
        vault.set(name, name * 5)
    seen = []

    def dies(*_: object) -> None:
        seen.append(step)
        if step != "reseal" or len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(store if step == "reseal" else module, step, dies)
    with pytest.raises(KeyboardInterrupt):
        vault.rotate()
    monkeypatch.undo()

    for each in (vault, Vault(records, tmp_path)):
        assert [each.reveal(f"secret:{name}") for name in "abc"] == ["aaaaa", "bbbbb", "ccccc"]
    again = Vault(records, tmp_path)
    assert again.rotate() == 3
    assert len((tmp_path / "secret.key").read_bytes()) == 32
    assert Vault(records, tmp_path).reveal("secret:c") == "ccccc"


def test_the_key_of_the_setting_wins_over_the_file_and_is_replaced_by_naming_both(
    records: Records, tmp_path: Path
) -> None:
    Vault(records, tmp_path, secret_key=OLD).set("acme", VALUE)
    assert not (tmp_path / "secret.key").exists()

    both = Vault(records, tmp_path, secret_key=f"{NEW}, {OLD}")
    assert both.reveal("secret:acme") == VALUE
    assert both.rotate() == 1

    assert Vault(records, tmp_path, secret_key=NEW).reveal("secret:acme") == VALUE
    assert list(Vault(records, tmp_path, secret_key=OLD).unreadable()) == ["acme"]


@pytest.mark.parametrize("given", ["short", "zz" * 32, ",", f"{OLD},x"])
def test_a_key_that_cannot_be_used_is_refused_and_not_repeated(
    records: Records, tmp_path: Path, given: str
) -> None:
    with pytest.raises(Unusable, match="secret_key") as caught:
        Vault(records, tmp_path, secret_key=given).set("a", "b")
    assert given not in caught.value.message


def test_a_missing_key_file_is_said_and_no_new_one_hides_it(
    vault: Vault, records: Records, tmp_path: Path
) -> None:
    vault.set("acme", VALUE)
    (tmp_path / "secret.key").unlink()

    with pytest.raises(UpstreamDown, match=r"secret\.key is not there"):
        Vault(records, tmp_path).reveal("secret:acme")
    with pytest.raises(Unusable, match=r"secret\.key is not there"):
        Vault(records, tmp_path).set("other", VALUE)
    assert list(Vault(records, tmp_path).unreadable()) == ["acme"]
    assert not (tmp_path / "secret.key").exists()
