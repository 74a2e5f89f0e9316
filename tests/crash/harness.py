"""What the fault scripts share: the server as a child process, clients that keep a journal, and the
comparison of the two.

A script hands a function to `main`, which gives it a directory, a seeded source of chance and the
arguments, and turns a `Violation` into exit code 1 with everything kept for a look.

The rows of a writer walk through time, so that snapshots fall due all the while; some are late,
and some from the future. Rows are also written again with another field, often when the first
writing is in a Parquet file and the second still in memory.
"""

import argparse
import http.client
import json
import os
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
SETTLE_SECONDS_MAX = 20
MERGE_SECONDS_MAX = 2
# How long after its storing a merged file is in the index at the latest, mostly.
PUBLISH_SECONDS_MAX = 0.01
# Of so many moments one hits a compaction for certain.
MOMENTS_THAT_HIT = 20
BATCH_ROWS_MAX = 10
PAUSE_SECONDS_MAX = 0.02
FLUSH_INTERVALS = ["10ms", "50ms", "100ms", "250ms", "500ms", "1s"]
CHUNK_NS = 60_000_000_000
FIRST_TIME_NS = 1_700_000_040_000_000_000
# Rows after which a writer comes to the next chunk, and rows that keep together.
ROWS_A_CHUNK = 128
ROWS_A_STEP = 16
# How many chunks a step is late or early.
SHIFTS = [-3, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 2, 0, 0, 0]

SENT, REQUIRED = 0, 1


def time_of(n):
    """When row `n` of a writer happened. No two rows of a writer share a time."""
    shift = SHIFTS[n // ROWS_A_STEP * 7 % len(SHIFTS)]
    return FIRST_TIME_NS + (n // ROWS_A_CHUNK + shift) * CHUNK_NS + n


# Mostly files of two minutes become one as soon as they are there, and those of a few such windows
# again; and what is in other files goes at once.
COMPACTING = ["--compaction-check-interval", "20ms", "--compaction-gen2-duration", "2m"]
COMPACTING += ["--compaction-multipliers", "3,4", "--compaction-cleanup-wait", "0s"]
COMPACTION = [
    ["--compaction", "off", "--compaction-cleanup-wait", "0s"],
    COMPACTING,
    COMPACTING,
    [*COMPACTING, "--compaction-row-limit", "50"],
]


def storage_options(chance, compacting=False):
    """Has snapshots and compactions all the time, in one way or another; `compacting`, without
    exception."""
    options = ["--gen1-duration", "1m", "--max-databases", "1000", "--max-tables", "100000"]
    options += ["--retention-check-interval", "500ms"]
    options += ["--wal-snapshot-size", chance.choice(["1", "2", "4", "4", "8"])]
    options += ["--snapshotted-wal-files-to-keep", chance.choice(["0", "0", "0", "3"])]
    options += ["--wal-delete-delay", chance.choice(["0s", "0s", "300ms", "10m"])]
    if chance.random() < 0.5:
        options += ["--snapshot-concurrency-limit", chance.choice(["1", "2", "5"])]
    options += chance.choice(COMPACTION[1:] if compacting else COMPACTION)
    cache = chance.random()
    if cache < 0.2:
        options += ["--disable-parquet-mem-cache"]
    elif cache < 0.4:
        options += ["--parquet-mem-cache-size", "1"]
    return options


class Violation(Exception):
    """The server broke a promise, or several."""

    count = 1


class Skipped(Exception):
    """This machine cannot inject the fault."""


class Writer:
    """One client. `rows[n]` says what is known of its row n, over all rounds.

    `versions[n]` is, for a row that was written again, the least and the largest value that its
    second field may have.

    Without faults that a client may see, every answer but 204 and 503 is an error. A writer that is
    `tolerant` counts 5xx answers as refusals and goes on, as it may with a failing disk.
    """

    def __init__(self, number, prefix="w", tolerant=False):
        self.name = f"{prefix}{number}"
        self.tolerant = tolerant
        self.rows = bytearray()
        self.versions = {}
        self.acknowledged = 0
        self.refused = 0
        self.refusals = {}
        self.error = None

    def write_until(self, port, killing, chance):
        """Writes small batches until the server is gone or `killing` is set."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not (self.tolerant and killing.is_set()):
                status, text = self.write_batch(connection, chance)
                if status == 503 or (self.tolerant and status >= 500):
                    self.refused += 1
                    self.refusals[status] = text
                    time.sleep(0.01)
                elif status != 204:
                    self.error = f"{self.name}: a write was answered {status}: {text[:300]!r}"
                    return
                time.sleep(chance.uniform(0, PAUSE_SECONDS_MAX))
        except (OSError, http.client.HTTPException) as error:
            # What was in flight stays `SENT`: it may be there or not.
            if not (killing.is_set() or self.tolerant):
                self.error = f"{self.name}: a write was not answered: {error!r}"
        finally:
            connection.close()

    def write_batch(self, connection, chance):
        count = chance.randint(1, BATCH_ROWS_MAX)
        first = len(self.rows)
        numbers = range(first, first + count)
        lines = [f"m,w={self.name} n={n}i {time_of(n)}" for n in numbers]
        again = None
        if first and chance.random() < 0.4:
            # Mostly rows that have just gone into a file.
            again = max(0, first - 1 - int(chance.expovariate(1 / 200)))
            if self.rows[again] != REQUIRED:
                again = None
        if again is not None:
            least, largest = self.versions.get(again, (0, 0))
            version = largest + 1
            self.versions[again] = (least, version)
            lines.append(f"m,w={self.name} v={version}i {time_of(again)}")
        # Entered before sending: from here on the rows may turn up.
        self.rows.extend([SENT] * count)
        status, text = post_lines(connection, "crash", lines)
        if status == 204:
            self.rows[first : first + count] = bytes([REQUIRED]) * count
            self.acknowledged += count
            if again is not None:
                self.versions[again] = (version, version)
        return status, text


class Reader:
    """A client that reads while others write and snapshots come and go: each row that was
    acknowledged before a query began is in its answer, once, and none that nobody sent."""

    def __init__(self, writers, tolerant=False):
        self.writers = writers
        self.tolerant = tolerant
        self.reads = 0
        self.error = None

    def write_until(self, port, killing, chance):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not killing.is_set() and self.error is None:
                self.read(connection, chance)
                time.sleep(0.02)
        except (OSError, http.client.HTTPException) as error:
            if not (killing.is_set() or self.tolerant):
                self.error = f"a query was not answered: {error!r}"
        finally:
            connection.close()

    def read(self, connection, chance):
        # The newest rows of a writer, which are in memory, in files or on their way between them.
        writer = chance.choice(self.writers)
        last = len(writer.rows)
        first = max(0, last - chance.choice([100, 500, 2000]))
        before = [n for n in range(first, last) if writer.rows[n] == REQUIRED]
        sql = f"SELECT n FROM m WHERE w = '{writer.name}' AND n >= {first}"
        if chance.random() < 0.5:
            times = [time_of(n) for n in range(first, last + ROWS_A_CHUNK)] or [FIRST_TIME_NS]
            sql += f" AND time >= to_timestamp_nanos({min(times)})" + chance.choice(
                [" ORDER BY time", " ORDER BY time DESC", ""]
            )
        status, body = get_rows(connection, sql)
        if status != 200:
            if not (self.tolerant or status in (404, 503) or b"not found" in body):
                self.error = f"a query was answered {status}: {body[:300]!r}"
            return
        found = [json.loads(line)["n"] for line in body.splitlines() if line]
        sent = len(writer.rows)
        self.reads += 1
        held = set(found)
        if len(held) != len(found):
            twice = sorted(n for n in held if found.count(n) > 1)[:5]
            self.error = f"rows {twice} of {writer.name} were there twice for {sql}"
        elif lost := [n for n in before if n not in held]:
            self.error = f"rows {lost[:5]} ({len(lost)}) of {writer.name} were missing for {sql}"
        elif held and max(held) >= sent:
            self.error = f"row {max(held)} of {writer.name} was not sent yet"


class Namer:
    """A client that writes one row into a new table, or a new database, each time, and deletes
    tables: rows of these must not come back, not even when a table has the name again."""

    def __init__(self):
        # For each place, the row that must be there if any, and those that may.
        self.places = {}
        self.made = 0
        self.deleted = 0
        self.error = None

    def write_until(self, port, killing, chance):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not killing.is_set():
                settled = [p for p in list(self.places)[-40:] if self.places[p][0] is not None]
                if settled and chance.random() < 0.2:
                    self.replace(connection, chance.choice(settled), chance)
                else:
                    self.made += 1
                    database = f"crash{self.made}" if self.made % 8 == 0 else "crash"
                    self.write(connection, (database, f"t{self.made}"), self.made)
                time.sleep(0.03)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def write(self, connection, place, number):
        database, table = place
        self.places[place] = (None, {number})
        line = f"{table},w=namer n={number}i {FIRST_TIME_NS + number}"
        if post_lines(connection, database, [line])[0] == 204:
            self.places[place] = (number, {number})

    def replace(self, connection, place, chance):
        """Deletes a table and makes it anew."""
        database, table = place
        self.places[place] = (None, self.places[place][1])
        when = chance.choice(["now", "default", "never"])
        path = f"/api/v3/configure/table?db={database}&table={table}&hard_delete_at={when}"
        connection.request("DELETE", path)
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            self.deleted += 1
            self.places[place] = (None, set())
            if chance.random() < 0.5:
                self.made += 1
                self.write(connection, place, self.made)

    def verify(self, server, recent=None, chance=None):
        """Checks every place, or the `recent` newest ones and as many of the others."""
        places = list(self.places)
        if recent is not None and len(places) > 2 * recent:
            places = places[-recent:] + chance.sample(places[:-recent], recent)
        for database, table in places:
            rows = server.query(f"SELECT w, n FROM {table}", database) or []
            must, may = self.places[database, table]
            numbers = [row["n"] for row in rows if row.get("w") == "namer"]
            if len(rows) > 1 or len(numbers) < len(rows):
                raise Violation(f"{database}.{table} holds {rows}")
            if numbers and numbers[0] not in may:
                raise Violation(f"{database}.{table} holds {rows}: deleted, or never sent")
            if numbers:
                self.places[database, table] = (numbers[0], {numbers[0]})
            elif must is not None:
                raise Violation(f"the acknowledged row of {database}.{table} is lost")


class Retained:
    """A client whose rows are visible for some seconds only."""

    DATABASE = "brief"
    SECONDS = 3

    def __init__(self):
        self.sent = {}
        self.acknowledged = {}
        self.error = None

    def prepare(self, server):
        period = f"{self.SECONDS}s"
        body = json.dumps({"db": self.DATABASE, "retention_period": period})
        status = server.send("POST", "/api/v3/configure/database", body)[0]
        if status not in (200, 409):
            raise Violation(f"the database with a retention period was answered {status}")

    def write_until(self, port, killing, _chance):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        try:
            while not killing.is_set():
                n, now_ns = len(self.sent), time.time_ns()
                self.sent[n] = now_ns
                if post_lines(connection, self.DATABASE, [f"b,w=x n={n}i {now_ns}"])[0] == 204:
                    self.acknowledged[n] = now_ns
                time.sleep(0.05)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def verify(self, server):
        period_ns = self.SECONDS * 1_000_000_000
        from_ns = time.time_ns() - period_ns
        rows = server.query("SELECT n FROM b", self.DATABASE) or []
        through_ns = time.time_ns() - period_ns
        found = [row["n"] for row in rows]
        if len(set(found)) != len(found):
            raise Violation(f"rows that expire are there twice: {found}")
        if old := [n for n in found if self.sent[n] < from_ns]:
            raise Violation(f"rows {old} are past their retention period and still there")
        must = {n for n, at_ns in self.acknowledged.items() if at_ns > through_ns}
        if lost := must - set(found):
            raise Violation(f"rows {sorted(lost)} within the retention period are lost")


def post_lines(connection, database, lines):
    path = f"/api/v3/write_lp?db={database}&precision=nanosecond"
    connection.request("POST", path, body="\n".join(lines))
    response = connection.getresponse()
    return response.status, response.read()


def get_rows(connection, sql, database="crash"):
    parameters = urlencode({"db": database, "q": sql, "format": "jsonl"})
    connection.request("GET", f"/api/v3/query_sql?{parameters}")
    response = connection.getresponse()
    return response.status, response.read()


class Server:
    """The binary on one data directory, started anew each round.

    `wrapper` is a command that runs it (such as strace), `data` where its files are, `store` the
    options of another store than a folder. How it takes snapshots is left to `chance`, if given;
    one that is `compacting` always merges files.
    """

    NODE = "crash"

    def __init__(
        self,
        binary,
        directory,
        chance=None,
        data=None,
        log_name="server.log",
        store=None,
        compacting=False,
    ):
        self.binary = binary
        # Without chance it does what it is told.
        self.chance = random.Random(chance.random()) if chance else None
        self.compacting = compacting
        self.data = data or directory / "data"
        self.store = store or ["--object-store", "file", "--data-dir", self.data]
        self.log_path = directory / log_name
        self.process = None
        self.port = None

    def launch(self, flush_interval, wrapper=(), options=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [*wrapper, self.binary, "serve", "--node-id", self.NODE, "--without-auth"]
        command += self.store
        if self.chance:
            command += storage_options(self.chance, self.compacting)
        command += options
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
        return self.send("GET", path)

    def metric(self, name):
        """A counter without labels; 0 if nothing was counted."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def send(self, method, path, body=None):
        """A request; a body is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS_MAX)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body=body, headers=headers)
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
    # The second field is a column only once it was written.
    rows = server.query("SELECT *, CAST(time AS BIGINT) AS t FROM m") or []
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
        if row["t"] != time_of(n):
            raise Violation(f"the row {row} has another time than was sent")
        if seen[name][n]:
            raise Violation(f"the row {row} is there twice")
        seen[name][n] = 1
        writer.rows[n] = REQUIRED
        version = row.get("v", 0)
        least, largest = writer.versions.get(n, (0, 0))
        if not least <= version <= largest:
            raise Violation(f"the row {row} has another version than {least} to {largest}")
        if largest:
            # A writing whose outcome is unknown may yet turn up.
            writer.versions[n] = (version, largest)

    for writer in writers:
        present = seen[writer.name]
        lost = [n for n, state in enumerate(writer.rows) if state == REQUIRED and not present[n]]
        if lost:
            raise Violation(
                f"{len(lost)} acknowledged or once seen rows of {writer.name} are lost: {lost[:10]}"
            )
    verify_order(server, rows)
    return len(rows)


def verify_order(server, rows):
    """The newest rows, which are read in another way."""
    times = sorted((row["t"] for row in rows), reverse=True)[:100]
    sql = "SELECT CAST(time AS BIGINT) AS t FROM m ORDER BY time DESC LIMIT 100"
    newest = [row["t"] for row in server.query(sql) or []]
    if newest != times:
        raise Violation(f"the newest rows are {newest[:5]}…, not {times[:5]}…")


def folders(listed):
    """Where the files of tables are that have these: those of snapshots, and compacted ones."""
    found = set()
    for node, _, db, table in (path.split("/")[:4] for path in listed):
        found |= {f"{node}/{kind}/{db}/{table}" for kind in ("dbs", "c")}
    return found


def verify_files(server, may_be_more=False):
    """Once what was begun before a kill is repeated, the folders of table `m` hold the files that
    the index names, and no others unless there may be more. Returns their number."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    sql = "SELECT path, size_bytes FROM system.parquet_files WHERE table_name = 'm'"
    while True:
        listed = {row["path"]: row["size_bytes"] for row in server.query(sql) or []}
        stored = stored_files(server, listed)
        if stored == listed or (may_be_more and listed.items() <= stored.items()):
            return len(listed)
        if time.monotonic() > deadline:
            missing = sorted(listed.items() - stored.items())[:5]
            unknown = sorted(stored.items() - listed.items())[:5]
            raise Violation(f"files are missing: {missing}; nobody knows of: {unknown}")
        time.sleep(0.05)


class MidCompaction:
    """Waits for moments at which a compaction is under way."""

    def __init__(self):
        self.moments = 0
        self.left_over = 0

    def wait(self, server, chance):
        """Until a merged file is there that was not, or a moment longer: about then the index
        learns of it."""
        known = merged_files(server)
        deadline = time.monotonic() + MERGE_SECONDS_MAX
        while not merged_files(server) - known:
            if time.monotonic() > deadline:
                return
        self.moments += 1
        time.sleep(chance.uniform(0, PUBLISH_SECONDS_MAX))

    def count(self, server):
        """After a restart: whether a compaction had left files that nothing names."""
        self.left_over += server.metric("compaction_orphans_removed_total") > 0

    def told(self):
        # About two of five hit one, so that a few may miss all.
        if self.moments == 0 or (self.left_over == 0 and self.moments >= MOMENTS_THAT_HIT):
            raise Violation(f"{self.moments} merged files, none cut off: nothing was tested")
        return (
            f"{self.moments} just after a merged file was stored, "
            f"{self.left_over} in the middle of a compaction, "
        )


def merged_files(server):
    root = server.data / server.NODE / "c"
    return {os.path.join(folder, file) for folder, _, files in os.walk(root) for file in files}


def stored_files(server, listed):
    """Files and their sizes in the folders of the listed ones. Some may go meanwhile, and folders
    with them."""
    stored = {}
    for folder in folders(listed):
        try:
            for path in server.data.joinpath(folder).rglob("*.parquet"):
                stored[str(path.relative_to(server.data))] = path.stat().st_size
        except FileNotFoundError:
            continue
    return stored


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


def main(description, scenario, run, rounds=100, options=(), compacting=False):
    """Runs `run(arguments, directory, chance)`, which returns the closing line. Returns the exit
    code.

    `options` are further options: pairs of name and default. `compacting` adds the one by that name.
    """
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    parser.add_argument("binary", help="the server")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=None, help="of everything that is random")
    parser.add_argument("--ledger", type=Path, default=None, help="add a line to this file")
    for name, default in options:
        parser.add_argument(f"--{name}", type=type(default), default=default)
    if compacting:
        text = "always merge files, and hurt the server in the middle of that"
        parser.add_argument("--compacting", action="store_true", help=text)
    arguments = parser.parse_args()
    if getattr(arguments, "compacting", False):
        scenario += "-compacting"
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)

    directory = Path(tempfile.mkdtemp(prefix=f"{scenario}-"))
    print(f"seed {seed}, data in {directory}", flush=True)
    began = time.monotonic()
    violations = 0
    try:
        print(run(arguments, directory, random.Random(seed)))
        shutil.rmtree(directory)
    except Violation as violation:
        violations = violation.count
        print(f"VIOLATION: {violation}\nseed {seed}; data and log are kept in {directory}")
    except Skipped as reason:
        print(f"skipped: {reason}")
        shutil.rmtree(directory)
        return 0
    if arguments.ledger:
        cycles = getattr(arguments, "cycles", arguments.rounds)
        note(arguments.ledger, scenario, cycles, violations, began)
    return min(violations, 1)
