"""Writes and queries with influxdb3-python: `v3.py URL [CERTIFICATE]`."""

import concurrent.futures
import sys

import pandas
import pyarrow
from influxdb_client_3 import InfluxDBClient3, Point, SYNCHRONOUS, WriteOptions
from influxdb_client_3 import write_client_options
from influxdb_client_3.exceptions import InfluxDB3ClientQueryError, InfluxDBError

URL = sys.argv[1]
MORE = {"ssl_ca_cert": sys.argv[2]} if len(sys.argv) > 2 else {}
ROWS = 100_000


def client(database, token="any", **options):
    return InfluxDBClient3(host=URL, token=token, database=database, **MORE, **options)


def refused(kind, run):
    try:
        run()
    except kind as error:
        return str(error)
    raise AssertionError("no error")


def points():
    options = write_client_options(write_options=SYNCHRONOUS)
    with client("v3", write_client_options=options) as c:
        c.write(Point("home").tag("room", "Kitchen").field("temp", 21.5).field("on", True).time(1))
        c.write("home,room=Bath temp=23.5,n=3i,s=\"text\" 2\nhome,room=Kitchen temp=22 3")
        frame = pandas.DataFrame(
            {"time": pandas.to_datetime([10, 20]), "room": ["Attic", "Attic"], "temp": [1.5, 2.5]}
        ).set_index("time")
        c.write(record=frame, data_frame_measurement_name="home", data_frame_tag_columns=["room"])

        table = c.query("SELECT room, temp, n FROM home ORDER BY time", language="sql")
        assert table.to_pydict() == {
            "room": ["Kitchen", "Bath", "Kitchen", "Attic", "Attic"],
            "temp": [21.5, 23.5, 22.0, 1.5, 2.5],
            "n": [None, 3, None, None, None],
        }, table
        table = c.query("SELECT * FROM home WHERE time >= '1970-01-01' LIMIT 1")
        assert table.schema.field("time").type == pyarrow.timestamp("ns"), table.schema
        assert not table.schema.field("time").nullable
        kinds = {f.name: (f.metadata or {}).get(b"iox::column::type") for f in table.schema}
        assert kinds["room"] == b"iox::column_type::tag", kinds
        assert kinds["temp"] == b"iox::column_type::field::float", kinds
        assert kinds["n"] == b"iox::column_type::field::integer", kinds
        assert kinds["time"] == b"iox::column_type::timestamp", kinds

        modes(c)
        errors(c)


def modes(c):
    sql = "SELECT room, temp FROM home WHERE room = $room ORDER BY time"
    params = {"room": "Kitchen"}
    table = c.query(sql, query_parameters=params)
    assert table["temp"].to_pylist() == [21.5, 22.0]
    frame = c.query(sql, mode="pandas", query_parameters=params)
    assert list(frame["temp"]) == [21.5, 22.0]
    schema = c.query(sql, mode="schema", query_parameters=params)
    assert schema.names == ["room", "temp"], schema
    reader = c.query(sql, mode="reader", query_parameters=params)
    assert sum(batch.num_rows for batch in reader) == 2
    chunks = c.query(sql, mode="chunk", query_parameters=params)
    rows = 0
    while True:
        try:
            chunk = chunks.read_chunk()
        except StopIteration:
            break
        rows += chunk.data.num_rows
    assert rows == 2, rows
    empty = c.query(sql, query_parameters={"room": "Cellar"})
    assert empty.num_rows == 0 and empty.schema.names == ["room", "temp"]


def errors(c):
    for sql, words in [
        ("SELECT nope FROM home", "nope"),
        ("SELEC 1", "SELEC"),
        ("SELECT 1/0", "Divide by zero"),
        ("SELECT * FROM home WHERE room = $room", "room"),
    ]:
        error = refused(InfluxDB3ClientQueryError, lambda: c.query(sql))
        assert words in error, (sql, error)
    error = refused(InfluxDBError, lambda: c.write("home,room=Bath temp=\"cold\" 9"))
    assert "temp" in error, error
    error = refused(InfluxDBError, lambda: c.write("what is this"))
    assert "400" in error, error
    with client("never_written") as other:
        refused(InfluxDB3ClientQueryError, lambda: other.query("SELECT 1"))


def without_a_token():
    """The library has no other way to say that there is none."""
    options = write_client_options(write_options=SYNCHRONOUS)
    for use_v2, time in [(False, 1), (True, 2)]:
        options_of_client = {"write_client_options": options, "write_use_v2_api": use_v2}
        with client("tokenless", token="", **options_of_client) as c:
            c.write(f"home temp=1.5 {time}")
            assert c.query("SELECT temp FROM home")["temp"].to_pylist() == [1.5] * time
            assert c.get_server_version(), "a version"
    with client("tokenless", token="", auth_scheme="Bearer", write_client_options=options) as c:
        c.write("home temp=1.5 3")
        assert c.query("SELECT count(*) AS n FROM home")["n"].to_pylist() == [3]


def many_rows():
    batching = WriteOptions(batch_size=10_000, flush_interval=100)
    failed = []
    options = write_client_options(
        write_options=batching, error_callback=lambda _, data, error: failed.append(error)
    )
    with client("many", write_client_options=options) as c:
        for i in range(ROWS):
            c.write(f"m,host=h{i % 100} i={i}i {i + 1}")
    assert not failed, failed[:1]
    with client("many") as c:
        table = c.query("SELECT i FROM m ORDER BY i")
        assert table.num_rows == ROWS
        assert table["i"].to_pylist() == list(range(ROWS))

    def count(n):
        with client("many") as c:
            sql = "SELECT count(*) AS n FROM m WHERE host = $host"
            return c.query(sql, query_parameters={"host": f"h{n}"})["n"].to_pylist()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(count, range(24))) == [[ROWS // 100]] * 24


points()
without_a_token()
many_rows()
assert client("v3").get_server_version(), "a version"
print("passed")
