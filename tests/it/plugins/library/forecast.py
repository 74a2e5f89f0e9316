"""A straight line through the values of a table, drawn on into the future, on request."""

import json

import numpy as np


def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    wanted = json.loads(request_body)
    table = influxdb3_local.query(
        f"SELECT time, v FROM {wanted['table']} ORDER BY time", as_arrow=True
    )
    if table.num_rows < 2:
        return {"error": "too few rows"}, 422
    times = np.asarray(table.column("time").cast("int64"))
    slope, offset = np.polyfit(times.astype(float), np.asarray(table.column("v")), 1)
    step, forecast = int(times[1] - times[0]), []
    for n in range(1, int(query_parameters.get("steps", "3")) + 1):
        at = int(times[-1]) + n * step
        forecast.append(round(float(slope * at + offset), 6))
        influxdb3_local.write(
            LineBuilder("forecast").tag("of", wanted["table"]).float64_field("v", forecast[-1])
            .bool_field("stub", True).uint64_field("step", n).time_ns(at)
        )
    return {"forecast": forecast}, 200, {"X-Model": "line"}
