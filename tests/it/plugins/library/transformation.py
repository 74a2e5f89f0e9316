"""Renames and converts fields into another table: what a row has not is left out."""

CONVERSIONS = {"celsius": lambda f: (f - 32) * 5 / 9, "upper": lambda s: s.upper()}


def process_writes(influxdb3_local, table_batches, args=None):
    rules = dict(rule.split(":") for rule in args["rules"].split(" "))
    written = 0
    for table_batch in table_batches:
        if table_batch["table_name"] != args["source"]:
            continue
        for row in table_batch["rows"]:
            line = LineBuilder(args["target"])
            for key, value in row.items():
                if isinstance(value, str) and key not in rules:
                    line.tag(key, value)
            for key, value in row.items():
                if key not in rules:
                    continue
                value = CONVERSIONS[rules[key]](value)
                if isinstance(value, str):
                    line.string_field(key, value)
                else:
                    line.float64_field(key, value)
            line.time_ns(row["time"])
            influxdb3_local.write_to_db(args.get("db", "mydb"), line)
            written += 1
    influxdb3_local.info("transformed", written, "rows")
