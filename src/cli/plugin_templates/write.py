"""NAME: counts the rows that were written.

Create the trigger with:

    influxdb3 create trigger --database DB --path NAME.py --upload \
        --trigger-spec all_tables --trigger-arguments table=row_counts NAME

Arguments:
    table    where the counts go (default: row_counts)
"""


def process_writes(influxdb3_local, table_batches, args=None):
    """Runs after each flush of the write-ahead log.

    influxdb3_local    logs, queries, writes and keeps things: info(), query(), write(), cache,
                       counter(), trigger
    table_batches      one for each table: {"table_name": str, "rows": [dict]}; arrow(), pandas()
                       and polars() give the same as a table of those libraries
    args               the trigger's arguments, a dict of texts, or None
    """
    target = (args or {}).get("table", "row_counts")
    for batch in table_batches:
        name, rows = batch["table_name"], batch["rows"]
        if name == target:  # what this plugin writes itself
            continue
        influxdb3_local.info(f"{len(rows)} rows of {name}")
        influxdb3_local.write(LineBuilder(target).tag("table", name).int64_field("rows", len(rows)))
