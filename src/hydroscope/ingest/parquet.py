"""Parquet into a Frame, through Arrow."""

from __future__ import annotations

from collections.abc import Sequence

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import DataError, UserError, unknown_name

__all__ = ["read_parquet"]


def read_parquet(paths: Sequence[str], columns: Sequence[str] | None = None, **options: object) -> Frame:
    """Read Parquet files that have the same columns. Cost: O(bytes), through an Arrow table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if options:
        raise UserError(f"Parquet files know their types: {', '.join(options)} is for text; only columns= applies")
    tables = []
    for path in paths:
        try:
            names = pq.read_schema(path).names
            for name in columns or ():
                if name not in names:
                    raise unknown_name("column", name, names, path)
            tables.append(pq.read_table(path, columns=list(columns) if columns is not None else None))
        except pa.ArrowInvalid as error:
            raise DataError(f"{path!r} begins like Parquet but cannot be read ({error}); it may be cut off") from error
        if tables[-1].schema.names != tables[0].schema.names:
            here, first = set(tables[-1].schema.names), set(tables[0].schema.names)
            differing = ", ".join(map(repr, sorted(here ^ first))) or "their order"
            raise DataError(f"{path!r} and {paths[0]!r} differ in {differing}; read them one by one")
    table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    return Frame(table)
