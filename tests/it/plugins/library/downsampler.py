"""Means of a table over windows, into another table; the last window is kept in the cache."""

from datetime import timezone


def windows(influxdb3_local, source, seconds, until_ns):
    since = influxdb3_local.cache.get("done", 0)
    sql = (
        f"SELECT date_bin(INTERVAL '{seconds} seconds', time) AS at, host, avg(v) AS mean, "
        f"count(v) AS n FROM {source} WHERE time >= to_timestamp_nanos({since}) "
        f"AND time < to_timestamp_nanos({until_ns}) GROUP BY at, host ORDER BY at, host"
    )
    return influxdb3_local.query(sql)


def process_scheduled_call(influxdb3_local, call_time, args=None):
    source, target, seconds = args["source"], args["target"], int(args["interval"])
    now_ns = int(call_time.astimezone(timezone.utc).timestamp()) * 1_000_000_000
    until_ns = now_ns - now_ns % (seconds * 1_000_000_000)
    rows = windows(influxdb3_local, source, seconds, until_ns)
    for row in rows:
        line = LineBuilder(target).tag("host", row["host"]).float64_field("mean", row["mean"])
        influxdb3_local.write(line.int64_field("n", row["n"]).time_ns(row["at"]))
    influxdb3_local.cache.put("done", until_ns)
    influxdb3_local.info(f"downsampled {len(rows)} windows of {source}")
