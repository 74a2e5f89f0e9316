"""Writes and queries with influxdb, the library for v1: `v1.py HOST PORT`."""

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
assert client.ping().startswith("3.")
client.create_database("v1")
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


def asked(q, **options):
    """Points without what the library's way of writing times adds to them."""
    return list(client.query(q, **options).get_points())


# The library asks for MessagePack.
both = asked('SELECT temp, "on", s FROM home ORDER BY time', epoch="s")
assert both == [
    {"time": 1640995200, "temp": 20.5, "on": True, "s": "text"},
    {"time": 1641081600, "temp": 2.0, "on": None, "s": None},
], both
[bath] = asked("SELECT n FROM home WHERE room = $room", bind_params={"room": "Bath"})
assert bath["n"] == 3 and bath["time"].startswith("2022-01-01T00:00:00"), bath
rooms = client.query("SELECT mean(temp) FROM home GROUP BY room")
assert [(tags, list(points)[0]["mean"]) for (_, tags), points in rooms.items()] == [
    ({"room": "Bath"}, 20.5),
    ({"room": "Hall"}, 2.0),
], rooms
# It reads answers in pieces as JSON only.
in_json = InfluxDBClient(
    host=sys.argv[1], port=int(sys.argv[2]), database="v1", headers={"Accept": "application/json"}
)
in_pieces = in_json.query("SELECT temp FROM home", chunked=True, chunk_size=1)
assert sum(len(list(piece.get_points())) for piece in in_pieces) == 2
assert {"name": "v1"} in client.get_list_database()
assert {"name": "home"} in client.get_list_measurements()
assert client.get_list_retention_policies()[0]["duration"] == "0s"
assert [tag["value"] for tag in asked("SHOW TAG VALUES FROM home WITH KEY = room WHERE time > 0")] == [
    "Bath",
    "Hall",
]
try:
    client.query("SELECT FROM home")
    raise AssertionError("no error")
except InfluxDBClientError as error:
    assert "syntax" in str(error).lower() or "parsing" in str(error), error
assert client.write_points(["gone v=1 1"], protocol="line")
client.drop_measurement("gone")
assert {"name": "gone"} not in client.get_list_measurements()
client.create_database("v1-new")
client.drop_database("v1-new")
assert {"name": "v1-new"} not in client.get_list_database()
print("passed")
