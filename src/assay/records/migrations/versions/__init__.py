"""One file a revision: `NNNN_title.py` with `revision = "NNNN"`, `down_revision` the one before, and `upgrade()`.

Write columns out (`sa.Column(…)`) rather than import a room's table: a revision says what the schema was, for ever.
`assay.records.types` may be used. A room's table repeats the columns; indexes and foreign keys may stand here alone. There is no `downgrade`: going back is restoring a backup.
"""
