import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import assay
from assay import records as room
from assay.errors import Unusable
from assay.records import Records
from assay.records.upgrade import alembic_config, current_revision, migrate, revisions


def declare_every_table() -> None:
    for store in Path(assay.__file__).parent.glob("*/store.py"):
        importlib.import_module(f"assay.{store.parent.name}.store")


def differences(records: Records) -> list[object]:
    """What a store declares and the database lacks, and every difference of tables and columns.

    Indexes and foreign keys that only the database needs may stand in the migrations alone.
    """
    declare_every_table()
    with records.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        found = compare_metadata(context, room.metadata)
    return [change for change in found if change[0] not in ("remove_index", "remove_fk")]


def test_the_migrated_schema_is_the_declared_one(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    assert differences(records) == []
    records.close()


@pytest.mark.parametrize("revision", revisions())
def test_a_database_of_any_earlier_release_can_be_upgraded(tmp_path: Path, revision: str) -> None:
    records = Records.in_directory(tmp_path)
    with records.write() as tx:
        migrate(tx, revision)
        assert current_revision(tx) == revision
    records.upgrade()
    assert differences(records) == []
    records.close()


def test_the_revisions_are_one_chain_named_by_their_files(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    with records.read() as tx:
        scripts = ScriptDirectory.from_config(alembic_config(tx))
    chain = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    assert chain == list(revisions())
    assert [number for number, _ in enumerate(chain, 1)] == [int(revision) for revision in chain]
    records.close()


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    with records.write() as tx:
        tx.execute(text("CREATE TABLE jobs (mine TEXT)"))
    with pytest.raises(Exception, match="already exists"):
        records.upgrade()
    with records.read() as tx:
        assert inspect(tx).get_table_names() == ["jobs"]
    records.close()


def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    with records.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9000'"))
    with pytest.raises(Unusable, match="9000"):
        records.upgrade()
    records.close()


def test_alembic_is_not_imported_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    records.close()
    program = (
        "import sys; from pathlib import Path; from assay.records import Records\n"
        f"Records.in_directory(Path({str(tmp_path)!r})).upgrade(); print('alembic' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
