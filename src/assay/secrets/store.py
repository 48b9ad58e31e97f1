"""Every SQL statement about secrets. They belong to the server, not to a project."""

from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, select, update

from assay.records import audited, metadata, upsert
from assay.secrets.types import Secret

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("changed_at_ns", BigInteger, nullable=False),
    info=audited("secret", subject=("name",), shows=("changed_at_ns",)),
)


def secrets_of(tx: Connection) -> list[Secret]:
    """All of them by name, without their values."""
    query = select(secrets.c.name, secrets.c.created_at_ns, secrets.c.changed_at_ns)
    return [Secret(*row) for row in tx.execute(query.order_by(secrets.c.name))]


def find_sealed(tx: Connection, name: str) -> str | None:
    """The encrypted value of one."""
    return tx.execute(select(secrets.c.sealed).where(secrets.c.name == name)).scalar_one_or_none()


def all_sealed(tx: Connection) -> dict[str, str]:
    """Every encrypted value by name."""
    return {row.name: row.sealed for row in tx.execute(select(secrets.c.name, secrets.c.sealed))}


def put(tx: Connection, name: str, sealed: str, at_ns: int) -> None:
    """Keep a value, or another one in its place."""
    row = {"name": name, "sealed": sealed, "created_at_ns": at_ns, "changed_at_ns": at_ns}
    upsert(tx, secrets, row, update=("sealed", "changed_at_ns"))


def reseal(tx: Connection, name: str, sealed: str) -> None:
    """Keep the same value under another key."""
    tx.execute(update(secrets).where(secrets.c.name == name).values(sealed=sealed))


def remove(tx: Connection, name: str) -> bool:
    """Forget one; says whether it was there."""
    return tx.execute(delete(secrets).where(secrets.c.name == name)).rowcount == 1
