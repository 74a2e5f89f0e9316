"""Writes with influxdb-client, the library for v2: `v2.py URL`. Queries are Flux there."""

import json
import sys

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

for token in ["any", "", None]:
    with InfluxDBClient(url=sys.argv[1], token=token, org="none") as client:
        assert client.ping()
        health = client.health()
        assert (health.status, health.name) == ("pass", "influxdb"), health
        assert health.message == "ready for queries and writes", health
        with client.write_api(write_options=SYNCHRONOUS) as api:
            api.write("tokens", record=f"home,token={token or 'none'} temp=1 1")

with InfluxDBClient(url=sys.argv[1], token="any", org="none") as client:
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
        try:
            api.write("v2", record="partly n=1i 1\nbad\npartly n=3i 3")
            raise AssertionError("no error")
        except ApiException as error:
            told = json.loads(error.body)
            assert error.status == 400 and told["line"] == 2, error
            assert told["message"].endswith(" dropped=1"), error
    with client.write_api() as batching:
        for i in range(10_000):
            batching.write("v2", record=f"many i={i}i {i + 1}")
print("passed")
