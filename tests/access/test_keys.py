import re
from pathlib import Path

import pytest

from assay.access import KEYS, PROJECT, Role, create_key, list_keys, prepare, revoke_key
from assay.access.authentication import authenticate
from assay.errors import BadRequest, Conflict, NotFound, Unauthorized, Unusable
from assay.records import Records
from assay.snapshot import SnapshotSource


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    with records.write() as tx:
        prepare(tx, "an-admin-key-for-the-tests")
    return records


def test_a_secret_has_256_bits_in_its_known_form_and_is_kept_as_a_hash_only(
    records: Records, tmp_path: Path
) -> None:
    with records.write() as tx:
        key, secret = create_key(tx, PROJECT, name="shop")
    assert re.fullmatch(r"sk-assay-[A-Za-z0-9_-]{43}", secret)
    assert secret.startswith(key.prefix)
    assert len(key.prefix) == 13
    records.close()
    assert secret.encode() not in (tmp_path / "records.sqlite").read_bytes()


def test_a_key_works_from_the_moment_it_is_made_and_not_after_it_is_revoked(records: Records) -> None:
    source = SnapshotSource(records, [KEYS])
    with records.write() as tx:
        key, secret = create_key(tx, PROJECT, name="shop", environment="staging")
    headers = [(b"authorization", b"Bearer " + secret.encode())]
    who = authenticate(source.current, headers)
    assert (who.name, who.role, who.environment, who.key_id) == ("shop", Role.APP, "staging", key.id)
    with records.write() as tx:
        revoke_key(tx, PROJECT, key.id)
    with pytest.raises(Unauthorized, match="revoked"):
        authenticate(source.current, headers)


def test_revoking_twice_changes_nothing_and_an_unknown_key_is_not_found(records: Records) -> None:
    with records.write() as tx:
        key, _ = create_key(tx, PROJECT, name="shop")
        first = revoke_key(tx, PROJECT, key.id)
        assert first.revoked_at_ns is not None
        assert revoke_key(tx, PROJECT, key.id) == first
        with pytest.raises(NotFound):
            revoke_key(tx, PROJECT, "no-such-key")
        with pytest.raises(NotFound):
            revoke_key(tx, "another project", key.id)


def test_the_last_admin_key_cannot_be_revoked(records: Records) -> None:
    with records.write() as tx:
        (only,) = list_keys(tx, PROJECT).items
        with pytest.raises(Conflict, match="last admin"):
            revoke_key(tx, PROJECT, only.id)
        create_key(tx, PROJECT, name="second", role=Role.ADMIN)
        assert revoke_key(tx, PROJECT, only.id).revoked_at_ns is not None


def test_keys_are_listed_newest_first_in_pages(records: Records) -> None:
    with records.write() as tx:
        made = [create_key(tx, PROJECT, name=f"key {number}")[0].id for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    with records.read() as tx:
        while True:
            page = list_keys(tx, PROJECT, cursor=cursor, limit=2)
            seen += [key.id for key in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen[:5] == sorted(made, reverse=True)
        assert len(seen) == 6
        with pytest.raises(BadRequest, match="not a cursor"):
            list_keys(tx, PROJECT, cursor="W10")


@pytest.mark.parametrize(
    ("field", "value"), [("name", " "), ("name", "x" * 101), ("name", "a\nb"), ("environment", "Production!")]
)
def test_what_cannot_name_a_key_or_an_environment_is_refused_by_field(
    records: Records, field: str, value: str
) -> None:
    arguments = {"name": "shop", "environment": None, field: value}
    with pytest.raises(BadRequest) as refused, records.write() as tx:
        create_key(tx, PROJECT, **arguments)  # type: ignore[arg-type]
    assert refused.value.param == field


def test_a_first_start_makes_one_admin_key_and_later_starts_none(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    with records.write() as tx:
        secret = prepare(tx, None)
    assert secret is not None
    with records.write() as tx:
        assert prepare(tx, None) is None
        (key,) = list_keys(tx, PROJECT).items
    assert key.role is Role.ADMIN
    records.close()


def test_a_configured_admin_key_is_made_known_once_and_a_new_value_beside_it(records: Records) -> None:
    with records.write() as tx:
        assert prepare(tx, "an-admin-key-for-the-tests") is None
        assert len(list_keys(tx, PROJECT).items) == 1
        assert prepare(tx, "another-value-of-the-setting") is None
        assert len(list_keys(tx, PROJECT).items) == 2


def test_a_configured_admin_key_that_was_revoked_stays_revoked(records: Records) -> None:
    with records.write() as tx:
        create_key(tx, PROJECT, name="second", role=Role.ADMIN)
        configured = list_keys(tx, PROJECT).items[-1]
        revoke_key(tx, PROJECT, configured.id)
        prepare(tx, "an-admin-key-for-the-tests")
        assert list_keys(tx, PROJECT).items[-1].revoked_at_ns is not None


@pytest.mark.parametrize("bad", ["short", "has a space in it", "schlüssel-schlüssel", ""])
def test_an_admin_key_that_no_header_could_carry_or_anybody_could_guess_is_refused(
    records: Records, bad: str
) -> None:
    with pytest.raises(Unusable), records.write() as tx:
        prepare(tx, bad)
