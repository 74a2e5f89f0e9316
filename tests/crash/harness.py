"""What the fault scripts share: the server as a child process, clients that keep a journal, and the
comparison of the two.

A script hands a function to `main`, which gives it a directory, a seeded source of chance and the
arguments, and turns a `Violation` into exit code 1 with everything kept for a look.
"""

import argparse
import http.client
import json
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

READY_SECONDS_MAX = 60
REQUEST_SECONDS_MAX = 60
BATCH_ROWS_MAX = 10
FLUSH_INTERVALS = ["10ms", "50ms", "100ms", "250ms", "500ms", "1s"]
FIRST_TIME_NS = 1_700_000_000_000_000_000
# Times of one writer lie in a range of their own, so that no two rows share one.
WRITER_TIME_NS = 10_000_000_000_000

SENT, REQUIRED = 0, 1


class Violation(Exception):
    """The server broke a promise."""


class Skipped(Exception):
    """This machine cannot inject the fault."""


class Writer:
    """One client. `rows[n]` says what is known of its row n, over all rounds.

    Without faults that a client may see, every answer but 204 and 503 is an error. A writer that is
    `tolerant` counts 5xx answers as refusals and goes on, as it may with a failing disk.
    """

    def __init__(self, number, prefix="w", tolerant=False):
        self.name = f"{prefix}{number}"
        self.first_time_ns = FIRST_TIME_NS + number * WRITER_TIME_NS
        self.tolerant = tolerant
        self.rows = bytearray()
        self.acknowledged = 0
        self.refused = 0
        self.refusals = {}
        self.error = None

    def write_until(self, port, killing, batch_random):
        """Writes small batches until the server is gone or `killing` is set."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not (self.tolerant and killing.is_set()):
                status, text = self.write_batch(connection, batch_random.randint(1, BATCH_ROWS_MAX))
                if status == 503 or (self.tolerant and status >= 500):
                    self.refused += 1
                    self.refusals[status] = text
                    time.sleep(0.01)
                elif status != 204:
                    self.error = f"{self.name}: a write was answered {status}: {text[:300]!r}"
                    return
        except (OSError, http.client.HTTPException) as error:
            # What was in flight stays `SENT`: it may be there or not.
            if not (killing.is_set() or self.tolerant):
                self.error = f"{self.name}: a write was not answered: {error!r}"
        finally:
            connection.close()

    def write_batch(self, connection, count):
        first = len(self.rows)
        numbers = range(first, first + count)
        lines = [f"m,w={self.name} n={n}i {self.first_time_ns + n}" for n in numbers]
        # Entered before sending: from here on the rows may turn up.
        self.rows.extend([SENT] * count)
        status, text = post_lines(connection, "crash", lines)
        if status == 204:
            self.rows[first : first + count] = bytes([REQUIRED]) * count
            self.acknowledged += count
        return status, text


class Namer:
    """A client that writes one row into a new table, or a new database, each time."""

    def __init__(self):
        self.places = {}
        self.made = 0

    def write_until(self, port, killing, _random):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not killing.is_set():
                self.made += 1
                number = self.made
                database = f"crash{number}" if number % 4 == 0 else "crash"
                place = (database, f"t{number}")
                self.places[place] = SENT
                line = f"t{number},w=namer n={number}i {FIRST_TIME_NS + number}"
                if post_lines(connection, database, [line])[0] == 204:
                    self.places[place] = REQUIRED
                time.sleep(0.03)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def verify(self, server, recent=None, chance=None):
        """Checks every place, or the `recent` newest ones and as many of the others."""
        places = list(self.places)
        if recent is not None and len(places) > 2 * recent:
            places = places[-recent:] + chance.sample(places[:-recent], recent)
        for database, table in places:
            rows = server.query(f"SELECT w, n FROM {table}", database)
            number = int(table[1:])
            if rows and rows != [{"w": "namer", "n": number}]:
                raise Violation(f"{database}.{table} holds {rows}")
            if rows:
                self.places[database, table] = REQUIRED
            elif self.places[database, table] == REQUIRED:
                raise Violation(f"the acknowledged row of {database}.{table} is lost")


def post_lines(connection, database, lines):
    path = f"/api/v3/write_lp?db={database}&precision=nanosecond"
    connection.request("POST", path, body="\n".join(lines))
    response = connection.getresponse()
    return response.status, response.read()


class Server:
    """The binary on one data directory, started anew each round.

    `wrapper` is a command that runs it (such as strace), `data` where its files are.
    """

    def __init__(self, binary, directory, data=None, log_name="server.log"):
        self.binary = binary
        self.data = data or directory / "data"
        self.log_path = directory / log_name
        self.process = None
        self.port = None

    def launch(self, flush_interval, wrapper=(), options=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [*wrapper, self.binary, "serve", "--node-id", "crash", "--object-store", "file"]
        command += ["--data-dir", self.data, "--without-auth", *options]
        command += ["--http-bind", f"127.0.0.1:{self.port}", "--wal-flush-interval", flush_interval]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self, flush_interval, wrapper=(), options=()):
        self.launch(flush_interval, wrapper, options)
        return self.wait_ready()

    def wait_ready(self):
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS_MAX:
            self.expect_alive()
            if self.healthy():
                return time.monotonic() - began
            time.sleep(0.01)
        raise Violation(f"not healthy {READY_SECONDS_MAX} s after the start")

    def healthy(self):
        try:
            return self.get("/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def expect_alive(self):
        code = self.process.poll()
        if code is not None:
            raise Violation(f"the server ended by itself with {code}")

    def expect_exit(self, codes, seconds_max):
        """Waits for an end with one of `codes`."""
        try:
            code = self.process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise Violation(f"the server still runs after {seconds_max} s") from None
        if code not in codes:
            raise Violation(f"the server ended with {code}, expected {codes}")
        return code

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

    def write(self, database, lines):
        """The status of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS_MAX)
        try:
            return post_lines(connection, database, lines)[0]
        finally:
            connection.close()

    def query(self, sql, database="crash"):
        """The rows of an answer, or None if the database or table does not exist yet."""
        path = "/api/v3/query_sql?" + urlencode({"db": database, "q": sql, "format": "jsonl"})
        try:
            status, body = self.get(path)
        except (OSError, http.client.HTTPException) as error:
            raise Violation(f"a query was not answered: {error!r}") from error
        if status == 404 or (status == 400 and b"not found" in body):
            return None
        if status != 200:
            raise Violation(f"a query was answered {status}: {body[:300]!r}")
        return [json.loads(line) for line in body.splitlines() if line]

    def expect_clean_log(self, *forbidden):
        """No panic, and none of the `forbidden` words, in anything that it ever said."""
        for line in self.log_path.read_text(errors="replace").splitlines():
            for word in ("panicked", *forbidden):
                if word in line:
                    raise Violation(f"the log says: {line[:400]}")


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


class Burst:
    """Clients that write at the same time, each on a thread."""

    def __init__(self, port, clients, chance):
        self.clients = clients
        self.ending = threading.Event()
        self.threads = [
            threading.Thread(
                target=client.write_until, args=(port, self.ending, random.Random(chance.random()))
            )
            for client in clients
        ]
        for thread in self.threads:
            thread.start()

    def join(self):
        """Waits for the clients, whose server is gone or who were told to end."""
        for thread in self.threads:
            thread.join()
        errors = [client.error for client in self.clients if getattr(client, "error", None)]
        if errors:
            raise Violation("; ".join(errors))


def acknowledged(writers):
    return sum(writer.acknowledged for writer in writers)


def note(ledger, scenario, cycles, violations, began):
    """Adds the line of a run to a ledger."""
    git = ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    minutes = f"{(time.monotonic() - began) / 60:.1f}"
    cells = [time.strftime("%Y-%m-%d"), commit, scenario, cycles, violations, minutes]
    if not ledger.exists():
        ledger.write_text("date\tcommit\tscenario\tcycles\tviolations\tminutes\n")
    with ledger.open("a") as file:
        file.write("\t".join(map(str, cells)) + "\n")


def main(description, scenario, run, rounds=100, options=()):
    """Runs `run(arguments, directory, chance)`, which returns the closing line; gives the exit code.

    `options` are further options with a number as value: pairs of name and default.
    """
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    parser.add_argument("binary", help="the server")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=None, help="of everything that is random")
    parser.add_argument("--ledger", type=Path, default=None, help="add a line to this file")
    for name, default in options:
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)

    directory = Path(tempfile.mkdtemp(prefix=f"{scenario}-"))
    print(f"seed {seed}, data in {directory}", flush=True)
    began = time.monotonic()
    violations = 0
    try:
        print(run(arguments, directory, random.Random(seed)))
        shutil.rmtree(directory)
    except Violation as violation:
        violations = 1
        print(f"VIOLATION: {violation}\nseed {seed}; data and log are kept in {directory}")
    except Skipped as reason:
        print(f"skipped: {reason}")
        shutil.rmtree(directory)
        return 0
    if arguments.ledger:
        note(arguments.ledger, scenario, arguments.rounds, violations, began)
    return violations
