"""The one collection of tables, and how their constraints are called.

Constraints have names, because a migration can only drop what it can name, and both databases must agree on them.
"""

from sqlalchemy import MetaData


def naming_convention() -> dict[str, str]:
    """Patterns for the names of indexes and constraints that a table does not name itself."""
    return {
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }


metadata = MetaData(naming_convention=naming_convention())
"""Every room's store declares its tables on this: `Table("prompts", records.metadata, …)`."""
