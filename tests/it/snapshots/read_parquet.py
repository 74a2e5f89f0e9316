"""Prints what pyarrow, DuckDB and pandas find in Parquet files, as JSON.

    read_parquet.py FILE...
"""

import json
import sys

import duckdb
import pyarrow
import pyarrow.parquet as parquet


def plain(kind):
    """A dictionary is how some columns are kept in memory, not what is in the file."""
    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def rows_of(table):
    """All rows with times as numbers, in the order of time."""
    at = table.schema.get_field_index("time")
    times = table.column(at).cast(pyarrow.int64())
    rows = table.set_column(at, "time", times).to_pylist()
    return sorted(rows, key=lambda row: row["time"])


def sort_key(row, columns):
    """Nulls first."""
    return [(row[column] is not None, row[column] or "") for column in columns[:-1]] + [row["time"]]


def filtered(paths):
    """The columns that have Bloom filters."""
    found = duckdb.sql(
        f"SELECT DISTINCT path_in_schema FROM parquet_metadata({paths}) "
        "WHERE bloom_filter_offset IS NOT NULL"
    )
    return sorted(name for (name,) in found.fetchall())


def lost(paths, whole):
    """Texts that a reader which makes use of such filters does not find as often as they are there."""
    lost = []
    for field in whole.schema:
        if not pyarrow.types.is_string(plain(field.type)):
            continue
        values = [value for value in whole.column(field.name).to_pylist() if value is not None]
        for value in values[:: len(values) // 10 + 1]:
            read = f"SELECT count(*) FROM read_parquet({paths}, union_by_name=true)"
            found = duckdb.execute(f'{read} WHERE "{field.name}" = ?', [value]).fetchall()[0][0]
            if found != values.count(value):
                lost.append([field.name, value, found])
    return lost


def main(paths):
    types, compression, sorting, unsorted, repeated = {}, set(), [], [], 0
    tables = []
    nullable = False
    for path in paths:
        file = parquet.ParquetFile(path)
        table = file.read()
        tables.append(table)
        types.update({field.name: str(plain(field.type)) for field in table.schema})
        nullable = nullable or table.schema.field("time").nullable
        for group in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(group)
            compression |= {group.column(c).compression for c in range(group.num_columns)}
        columns = [file.schema.column(c.column_index).name for c in group.sorting_columns]
        sorting.append(columns)
        keys = [sort_key(row, columns) for row in table.to_pylist()]
        if keys != sorted(keys):
            unsorted.append(path)
        repeated += sum(a == b for a, b in zip(keys, keys[1:]))

    whole = pyarrow.concat_tables(tables, promote_options="permissive")
    listed = "[" + ", ".join(f"'{path}'" for path in paths) + "]"
    read = f"SELECT * FROM read_parquet({listed}, union_by_name=true)"
    described = duckdb.sql(f"DESCRIBE {read}").fetchall()
    frame = whole.select([c for c in whole.column_names if c != "time"]).to_pandas()
    group = "b" if "b" in frame.columns else frame.columns[0]
    print(
        json.dumps(
            {
                "types": types,
                "time_nulls_allowed": nullable,
                "compression": sorted(compression),
                "sorting": sorting,
                "unsorted": unsorted,
                "repeated_keys": repeated,
                "filtered": filtered(listed),
                "lost": lost(listed, whole),
                "rows": rows_of(whole),
                "duckdb_types": {row[0]: row[1] for row in described},
                "duckdb_rows": rows_of(duckdb.sql(read).to_arrow_table()),
                "rows_by_b": {
                    str(k): int(v) for k, v in frame.groupby(group, observed=True).size().items()
                },
            }
        )
    )


main(sys.argv[1:])
