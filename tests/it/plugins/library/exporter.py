"""Notes which files a snapshot wrote, as an exporter to a table format would."""


def process_snapshot(influxdb3_local, snapshot, args=None):
    for file in snapshot["files"]:
        line = LineBuilder("exported").tag("table", file["table_name"])
        line.int64_field("rows", file["row_count"]).int64_field("bytes", file["size_bytes"])
        line.string_field("path", file["path"])
        influxdb3_local.write(line.time_ns(file["min_time"]))
    influxdb3_local.info(f"snapshot {snapshot['sequence']} of {snapshot['database']}")
