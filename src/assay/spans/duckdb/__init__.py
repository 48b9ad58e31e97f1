"""The embedded span store: DuckDB, one file, one writer, readers in threads."""
