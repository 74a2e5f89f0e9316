"""NAME: notes at each instant of a schedule how many rows a table has.

Create the trigger with:

    influxdb3 create trigger --database DB --path NAME.py --upload \
        --trigger-spec every:1m --trigger-arguments source=TABLE NAME

Arguments:
    source    the table whose rows are counted
    table     where the counts go (default: row_counts)
"""


def process_scheduled_call(influxdb3_local, call_time, args=None):
    """Runs at each instant of the schedule.

    influxdb3_local    logs, queries, writes and keeps things: info(), query(), write(), cache,
                       counter(), trigger
    call_time          the instant, a datetime
    args               the trigger's arguments, a dict of texts, or None
    """
    args = args or {}
    if "source" not in args:
        influxdb3_local.error("the argument source is missing")
        return
    source, target = args["source"], args.get("table", "row_counts")
    rows = influxdb3_local.query(f'SELECT count(*) AS rows FROM "{source}"')
    count = rows[0]["rows"]
    influxdb3_local.info(f"{count} rows of {source} at {call_time}")
    influxdb3_local.write(LineBuilder(target).tag("table", source).int64_field("rows", count))
