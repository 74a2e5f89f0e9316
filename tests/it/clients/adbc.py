"""Queries with the ADBC driver for Flight SQL: `adbc.py URI`. The data is v3.py's."""

import sys

import adbc_driver_flightsql.dbapi as flightsql
from adbc_driver_flightsql import DatabaseOptions

HEADER = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value


def connect(database):
    options = {f"{HEADER}database": database} if database else {}
    return flightsql.connect(sys.argv[1], db_kwargs=options, autocommit=True)


with connect("v3") as connection, connection.cursor() as cursor:
    cursor.execute("SELECT room, temp FROM home ORDER BY time LIMIT 2")
    assert cursor.fetchall() == [("Kitchen", 21.5), ("Bath", 23.5)]
    cursor.execute("SELECT temp FROM home WHERE room = $1 AND temp > $2", ("Kitchen", 21.75))
    assert cursor.fetch_arrow_table().to_pydict() == {"temp": [22.0]}
    cursor.execute("SELECT temp FROM home WHERE room = ?", ("Bath",))
    assert cursor.fetchall() == [(23.5,)]
    for sql, values, expected in [
        ("SELECT $1 AS a, $2 AS b", (11, 22), (11, 22)),
        ("SELECT $2 AS b, $1 AS a", (11, 22), (22, 11)),
        ("SELECT $2 AS b", (11, 22), (22,)),
        ("SELECT $1 AS a, $1 AS b", ("x",), ("x", "x")),
        ("SELECT ? AS a, ? AS b", ("x", None), ("x", None)),
        ("SELECT $one AS a, $two AS b", (11, 22), (11, 22)),
    ]:
        cursor.execute(sql, values)
        assert cursor.fetchall() == [expected], sql
    for sql, values in [("SELECT $1", (11, 22)), ("SELECT $1, $2", (11,)), ("SELECT $2", (11,))]:
        try:
            cursor.execute(sql, values)
            raise AssertionError("no error")
        except flightsql.Error as error:
            assert f"{len(values)} are given" in str(error), error
    try:
        cursor.executemany("SELECT $1", [(11,), (22,)])
        raise AssertionError("no error")
    except flightsql.Error as error:
        assert "nsupported" in str(error), error  # it is taken for an update
    cursor.execute("SELECT * FROM home WHERE room = 'Cellar'")
    table = cursor.fetch_arrow_table()
    assert table.num_rows == 0 and "temp" in table.schema.names, table.schema

    assert connection.adbc_get_table_types() == ["BASE TABLE", "VIEW"]
    info = connection.adbc_get_info()
    assert info["vendor_name"], info
    schema = connection.adbc_get_table_schema("home", db_schema_filter="iox")
    assert set(schema.names) == {"room", "temp", "n", "s", "on", "time"}, schema
    objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    schemas = {s["db_schema_name"]: s for s in objects[0]["catalog_db_schemas"]}
    assert {t["table_name"] for t in schemas["iox"]["db_schema_tables"]} == {"home"}, schemas
    for sql, words in [("SELECT nope FROM home", "nope"), ("SELECT 1/0", "ivide by zero")]:
        try:
            cursor.execute(sql)
            cursor.fetchall()
            raise AssertionError("no error")
        except flightsql.Error as error:
            assert words in str(error), error

with connect("many") as connection, connection.cursor() as cursor:
    cursor.execute("SELECT i FROM m ORDER BY i")
    assert cursor.fetch_arrow_table()["i"].to_pylist() == list(range(100_000))

with connect(None) as connection, connection.cursor() as cursor:
    try:
        cursor.execute("SELECT 1")
        raise AssertionError("no error")
    except flightsql.Error as error:
        assert "no 'database' header in request" in str(error), error
print("passed")
