"""Writes and queries with a token, by the libraries for v3, v2 and v1 and the driver ADBC:
`tokens.py HOST PORT TOKEN [CERTIFICATE]`. The token may read, write and create any database."""

import sys

import adbc_driver_flightsql.dbapi as flightsql
import influxdb
import influxdb_client
from adbc_driver_flightsql import DatabaseOptions
from influxdb.exceptions import InfluxDBClientError
from influxdb_client.client.write_api import SYNCHRONOUS as V2_SYNCHRONOUS
from influxdb_client.rest import ApiException
from influxdb_client_3 import SYNCHRONOUS, InfluxDBClient3
from influxdb_client_3 import write_client_options
from influxdb_client_3.exceptions import InfluxDB3ClientQueryError, InfluxDBError

HOST, PORT, TOKEN = sys.argv[1:4]
CERTIFICATE = sys.argv[4] if len(sys.argv) > 4 else None
SCHEME = "https" if CERTIFICATE else "http"
URL = f"{SCHEME}://{HOST}:{PORT}"
TLS = {"ssl_ca_cert": CERTIFICATE} if CERTIFICATE else {}


def refused(kind, run):
    try:
        run()
    except kind as error:
        return str(error)
    raise AssertionError("no error")


def v3(token):
    options = write_client_options(write_options=SYNCHRONOUS)
    return InfluxDBClient3(
        host=URL, token=token, database="v3", write_client_options=options, **TLS
    )


with v3(TOKEN) as client:
    client.write("home,room=Bath temp=20.5 1")
    assert client.query("SELECT temp FROM home").to_pydict() == {"temp": [20.5]}
with v3("wrong") as client:
    assert "401" in refused(InfluxDBError, lambda: client.write("home temp=1 1"))
    text = refused(InfluxDB3ClientQueryError, lambda: client.query("SELECT 1"))
    assert "nauthenticated" in text, text

for token, status in [(TOKEN, None), ("wrong", 401)]:
    with influxdb_client.InfluxDBClient(url=URL, token=token, org="none", **TLS) as client:
        with client.write_api(write_options=V2_SYNCHRONOUS) as api:
            try:
                api.write("v2", record="home temp=1 1")
                assert status is None
            except ApiException as error:
                assert error.status == status, error


def v1(password):
    return influxdb.InfluxDBClient(
        host=HOST,
        port=int(PORT),
        username="anybody",
        password=password,
        database="v1",
        ssl=bool(CERTIFICATE),
        verify_ssl=CERTIFICATE or False,
    )


client = v1(TOKEN)
client.create_database("v1")
assert client.write_points(["home temp=2 1"], protocol="line")
assert [row["temp"] for row in client.query("SELECT temp FROM home").get_points()] == [2]
assert "401" in refused(InfluxDBClientError, lambda: v1("wrong").query("SHOW DATABASES"))

grpc = f"grpc+tls://{HOST}:{PORT}" if CERTIFICATE else f"grpc://{HOST}:{PORT}"


def adbc(**more):
    options = {f"{DatabaseOptions.RPC_CALL_HEADER_PREFIX.value}database": "v3", **more}
    if CERTIFICATE:
        with open(CERTIFICATE) as file:
            options[DatabaseOptions.TLS_ROOT_CERTS.value] = file.read()
    return flightsql.connect(grpc, db_kwargs=options, autocommit=True)


by_header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
by_handshake = {"username": "anybody", "password": TOKEN}
for how in [by_header, by_handshake]:
    with adbc(**how) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT temp FROM home")
        assert cursor.fetchall() == [(20.5,)]
print("passed")
