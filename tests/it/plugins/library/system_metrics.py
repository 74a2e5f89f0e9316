"""What the machine does, on a schedule."""

import os
import platform


def process_scheduled_call(influxdb3_local, call_time, args=None):
    line = LineBuilder("system").tag("hostname", platform.node() or "none")
    line.int64_field("cpus", os.cpu_count() or 1).string_field("system", platform.system())
    load = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    for name, value in zip(("load1", "load5", "load15"), load):
        line.float64_field(name, value)
    influxdb3_local.write_sync_to_db(args["db"], line, False)
    influxdb3_local.info("collected at", call_time.strftime("%H:%M:%S"))
