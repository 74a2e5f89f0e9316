"""Writes with influxdb, the library for v1: `v1.py HOST PORT`. Queries are InfluxQL there.

Its `ping()` insists on status 204, where version 3 answers 200: nothing that a server of version 3
can mend.
"""

import sys

from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError

client = InfluxDBClient(host=sys.argv[1], port=int(sys.argv[2]), database="v1")
points = [
    {
        "measurement": "home",
        "tags": {"room": "Bath"},
        "fields": {"temp": 20.5, "n": 3, "on": True, "s": "text"},
        "time": "2022-01-01T00:00:00Z",
    }
]
assert client.write_points(points)
assert client.write_points(["home,room=Hall temp=2 1641081600"], protocol="line", time_precision="s")
try:
    client.write_points([{"measurement": "home", "fields": {"temp": "cold"}}])
    raise AssertionError("no error")
except InfluxDBClientError as error:
    assert error.code == 400 and "temp" in str(error), error
try:
    client.write_points(["partly n=1i 1", "bad", "partly n=3i 3"], protocol="line")
    raise AssertionError("no error")
except InfluxDBClientError as error:
    assert error.code == 400 and "partial write: line 2: " in str(error), error
    assert "dropped=1" in str(error), error
print("passed")
