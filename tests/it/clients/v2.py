"""Writes with influxdb-client, the library for v2: `v2.py URL`. Queries are Flux there."""

import sys

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

with InfluxDBClient(url=sys.argv[1], token="any", org="none") as client:
    assert client.ping()
    with client.write_api(write_options=SYNCHRONOUS) as api:
        api.write("v2", record=Point("home").tag("room", "Bath").field("temp", 20.5).time(1))
        api.write(
            "v2", record="home,room=Hall temp=2 2", write_precision=WritePrecision.S
        )
        api.write("v2", record=[{"measurement": "home", "fields": {"temp": 1.5}, "time": 3}])
        try:
            api.write("v2", record="home,room=Bath temp=\"cold\" 9")
            raise AssertionError("no error")
        except ApiException as error:
            assert error.status == 400 and "temp" in error.body, error
    with client.write_api() as batching:
        for i in range(10_000):
            batching.write("v2", record=f"many i={i}i {i + 1}")
print("passed")
