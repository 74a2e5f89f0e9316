"""Answers SQL with something that is a Python library: an engine over Parquet files, or Flight.

Arguments: `duckdb` or `datafusion` and the folder of the files, which are one table, `cpu`; or
`flight`, the address of a server and the name of a database. Each line of standard input is
{"sql": ..., "rows": bool}; each line of standard output is {"seconds": ...} with "columns" and
"rows" if they were asked for, or {"error": ...}. The first line of output has the version.
"""

import glob
import json
import os
import sys
import time

import pyarrow


def open_duckdb(folder):
    import duckdb

    files = sorted(glob.glob(folder + "/**/*.parquet", recursive=True))
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"CREATE VIEW cpu AS SELECT * FROM read_parquet({files!r})")
    return duckdb.__version__, lambda sql: connection.sql(sql).to_arrow_table()


def open_datafusion(folder):
    import datafusion

    config = datafusion.SessionConfig().set(
        "datafusion.execution.listing_table_ignore_subdirectory", "false"
    )
    context = datafusion.SessionContext(config)
    context.register_parquet("cpu", folder + "/")
    return datafusion.__version__, lambda sql: context.sql(sql).to_arrow_table()


def open_flight(address, database):
    from pyarrow import flight

    client = flight.FlightClient(f"grpc+tcp://{address}")

    def run(sql):
        ticket = {"database": database, "sql_query": sql, "query_type": "sql"}
        return client.do_get(flight.Ticket(json.dumps(ticket).encode())).read_all()

    return pyarrow.__version__, run


def plain(table):
    """Columns and rows as JSON has them; times are nanoseconds since 1970."""
    columns = []
    for column in table.columns:
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64())
        columns.append(column.to_pylist())
    return {"columns": table.column_names, "rows": [list(row) for row in zip(*columns)]}


def main():
    # What libraries print by themselves goes elsewhere.
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    engine, *source = sys.argv[1:]
    engines = {"duckdb": open_duckdb, "datafusion": open_datafusion, "flight": open_flight}
    version, run = engines[engine](*source)
    print(json.dumps({"version": version}), file=output)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            began = time.perf_counter()
            table = run(request["sql"])
            answer = {"seconds": time.perf_counter() - began}
            if request["rows"]:
                answer.update(plain(table))
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=output)


main()
