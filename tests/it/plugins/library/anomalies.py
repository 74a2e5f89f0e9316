"""Marks values far from the rolling median, with pandas, over what is in the table."""

import pandas as pd


def process_writes(influxdb3_local, table_batches, args=None):
    for batch in table_batches:
        hosts = batch.pandas()["host"].unique()
        for host in hosts:
            rows = influxdb3_local.query(
                f"SELECT time, v FROM {batch['table_name']} WHERE host = $host ORDER BY time",
                {"host": str(host)},
            )
            frame = pd.DataFrame(rows).set_index("time")
            median = frame["v"].rolling(5, min_periods=3).median()
            for at, value in frame["v"][(frame["v"] - median).abs() > float(args["limit"])].items():
                line = LineBuilder("anomalies").tag("host", str(host)).float64_field("v", value)
                influxdb3_local.write_sync(line.time_ns(int(at)), True)
                influxdb3_local.counter("anomalies", host=host)
