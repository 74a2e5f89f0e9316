#!/usr/bin/env python3
"""Kills the server with SIGKILL while clients write, again and again on one data directory.

After every restart the whole history is read back and compared with what the clients know:
every acknowledged row is there, no row is there twice, no row is there that nobody sent, and a
row that was once seen after a restart is never lost again.

    tests/crash/kill9.py target/release/influxdb3 [--rounds 100] [--seed N]

Prints one line a round and a closing line; exits with 1 at the first violation and keeps the data
directory then.
"""

import argparse
import http.client
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

READY_SECONDS_MAX = 60
REQUEST_SECONDS_MAX = 60
KILL_AFTER_SECONDS = (0.2, 1.5)
BATCH_ROWS_MAX = 10
FLUSH_INTERVALS = ["10ms", "50ms", "100ms", "250ms", "500ms", "1s"]
FIRST_TIME_NS = 1_700_000_000_000_000_000
# Times of one writer lie in a range of their own, so that no two rows share one.
WRITER_TIME_NS = 10_000_000_000_000

SENT, REQUIRED = 0, 1


class Violation(Exception):
    """The server broke a promise."""


class Writer:
    """One client. `rows[n]` says what is known of its row n, over all rounds."""

    def __init__(self, number):
        self.name = f"w{number}"
        self.first_time_ns = FIRST_TIME_NS + number * WRITER_TIME_NS
        self.rows = bytearray()
        self.acknowledged = 0
        self.refused = 0
        self.error = None

    def write_until(self, port, killing, batch_random):
        """Writes small batches until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while True:
                status, text = self.write_batch(connection, batch_random.randint(1, BATCH_ROWS_MAX))
                if status == 503:
                    self.refused += 1
                    time.sleep(0.01)
                elif status != 204:
                    self.error = f"{self.name}: a write was answered {status}: {text[:300]!r}"
                    return
        except (OSError, http.client.HTTPException) as error:
            # What was in flight stays `SENT`: it may be there or not.
            if not killing.is_set():
                self.error = f"{self.name}: a write was not answered: {error!r}"
        finally:
            connection.close()

    def write_batch(self, connection, count):
        first = len(self.rows)
        numbers = range(first, first + count)
        lines = [f"m,w={self.name} n={n}i {self.first_time_ns + n}" for n in numbers]
        # Entered before sending: from here on the rows may turn up.
        self.rows.extend([SENT] * count)
        path = "/api/v3/write_lp?db=crash&precision=nanosecond"
        connection.request("POST", path, body="\n".join(lines))
        response = connection.getresponse()
        text = response.read()
        if response.status == 204:
            self.rows[first : first + count] = bytes([REQUIRED]) * count
            self.acknowledged += count
        return response.status, text


class Server:
    """The binary on one data directory, started anew each round."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = directory
        self.log_path = directory / "server.log"
        self.process = None
        self.port = None

    def start(self, flush_interval):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [self.binary, "serve", "--node-id", "crash", "--object-store", "file"]
        command += ["--data-dir", self.directory / "data", "--without-auth"]
        command += ["--http-bind", f"127.0.0.1:{self.port}", "--wal-flush-interval", flush_interval]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS_MAX:
            self.expect_alive()
            try:
                if self.get("/health")[0] == 200:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)
        raise Violation(f"not healthy {READY_SECONDS_MAX} s after the start")

    def expect_alive(self):
        code = self.process.poll()
        if code is not None:
            raise Violation(f"the server ended by itself with {code}")

    def kill(self):
        """SIGKILL: no handler runs, no buffer is flushed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS_MAX)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def query(self, sql):
        """The rows of an answer, or None if the database does not exist yet."""
        path = "/api/v3/query_sql?" + urlencode({"db": "crash", "q": sql, "format": "jsonl"})
        try:
            status, body = self.get(path)
        except (OSError, http.client.HTTPException) as error:
            raise Violation(f"a query was not answered: {error!r}") from error
        if status == 404 or (status == 400 and b"not found" in body):
            return None
        if status != 200:
            raise Violation(f"a query was answered {status}: {body[:300]!r}")
        return [json.loads(line) for line in body.splitlines() if line]


def verify(server, writers):
    """Compares what the server holds with what the writers know; returns the number of rows."""
    rows = server.query("SELECT w, n FROM m") or []
    counted = server.query("SELECT count(*) AS c FROM m")
    counted = counted[0]["c"] if counted else 0
    if counted != len(rows):
        raise Violation(f"count(*) says {counted}, the rows are {len(rows)}")

    by_name = {writer.name: writer for writer in writers}
    seen = {writer.name: bytearray(len(writer.rows)) for writer in writers}
    for row in rows:
        name, n = row.get("w"), row.get("n")
        writer = by_name.get(name)
        if writer is None or not isinstance(n, int) or not 0 <= n < len(writer.rows):
            raise Violation(f"nobody sent the row {row}")
        if seen[name][n]:
            raise Violation(f"the row {row} is there twice")
        seen[name][n] = 1
        writer.rows[n] = REQUIRED

    for writer in writers:
        present = seen[writer.name]
        lost = [n for n, state in enumerate(writer.rows) if state == REQUIRED and not present[n]]
        if lost:
            raise Violation(
                f"{len(lost)} acknowledged or once seen rows of {writer.name} are lost: {lost[:10]}"
            )
    return len(rows)


def write_and_kill(server, writers, chance):
    """One burst of writes, ended by SIGKILL; returns how long it lasted."""
    killing = threading.Event()
    threads = [
        threading.Thread(
            target=writer.write_until, args=(server.port, killing, random.Random(chance.random()))
        )
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    lasted = chance.uniform(*KILL_AFTER_SECONDS)
    time.sleep(lasted)
    try:
        server.expect_alive()
    finally:
        killing.set()
        server.kill()
        for thread in threads:
            thread.join()
    errors = [writer.error for writer in writers if writer.error]
    if errors:
        raise Violation("; ".join(errors))
    return lasted


def run(server, writers, rounds, chance):
    server.start(chance.choice(FLUSH_INTERVALS))
    for number in range(1, rounds + 1):
        before = sum(writer.acknowledged for writer in writers)
        lasted = write_and_kill(server, writers, chance)
        flush_interval = chance.choice(FLUSH_INTERVALS)
        ready = server.start(flush_interval)
        held = verify(server, writers)
        acknowledged = sum(writer.acknowledged for writer in writers)
        print(
            f"round {number}: killed after {lasted:.2f} s, {acknowledged - before} rows acknowledged, "
            f"ready in {ready:.2f} s (flush interval {flush_interval}), {held} rows verified",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("binary", help="the server")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None, help="of instants, sizes and intervals")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)

    directory = Path(tempfile.mkdtemp(prefix="kill9-"))
    writers = [Writer(number) for number in range(arguments.writers)]
    server = Server(arguments.binary, directory)
    print(f"seed {seed}, data in {directory}", flush=True)
    try:
        run(server, writers, arguments.rounds, random.Random(seed))
    except Violation as violation:
        print(f"VIOLATION: {violation}\nseed {seed}; data and log are kept in {directory}")
        return 1
    finally:
        server.kill()
    shutil.rmtree(directory)

    acknowledged = sum(writer.acknowledged for writer in writers)
    refused = sum(writer.refused for writer in writers)
    print(
        f"{arguments.rounds} kills, {acknowledged} rows acknowledged, {refused} writes refused "
        "with 503, none lost, none doubled, none invented"
    )
    if acknowledged == 0:
        print("VIOLATION: nothing was acknowledged, so nothing was tested")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
