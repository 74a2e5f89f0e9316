#!/usr/bin/env python3
"""Damages one file of a stopped server's data directory, starts it, and looks what comes of it.

A byte is flipped, added or removed, a file is cut short, emptied, removed, exchanged with another
or copied under the next number: files of the log, records and checkpoints of the catalog, segments
and bases of the file index, Parquet files, manifests, and the note of who owns the log. The server
must either not start and name the file, or start, report the file if rows are missing, and serve
only rows that were sent: all of those in files that are whole. A query that needs a Parquet file
which is damaged fails and names it. The server must take writes then, and have them after another
start. It must never panic.

    tests/crash/damage.py target/release/influxdb3 [--rounds 300] [--workers 2] [--seed N]
                          [--violations 1] [--only .wal,.parquet]

A round is one case. After so many violations it stops. Some damage cannot be told from what a
power loss leaves, and is not counted against the server: the last group of a process's last file
may be torn, files may be missing from the end, and what the last sync of the catalog added may be
missing if no row needs it. Manifests are for others: the server never reads one.
"""

import concurrent.futures
import hashlib
import http.client
import os
import random
import re
import shutil
import sys
import threading
import time
from pathlib import Path

from harness import CHUNK_NS, FIRST_TIME_NS, Server, Violation, main

TABLES_A_START = 2
# More names than a checkpoint of the catalog waits for, so that there is one, and records after it.
COLUMNS = 110
# More snapshots than two bases of the index wait for.
SNAPSHOTS = 205
SNAPSHOTS_TRIED_MAX = 2000
SNAPSHOT_SECONDS_MAX = 0.25
ROWS_A_CHUNK = 60
SEGMENTS_READ = 8
MANIFESTS = 10
START_SECONDS_MAX = 30
CATALOG_END = "records are missing from the end of the catalog's log"
MARK = re.compile(rb"row-[0-9a-f]{10}-end")
QUICK = ["--gen1-duration", "1m", "--wal-snapshot-size", "1", "--wal-delete-delay", "0s"]
QUICK += ["--snapshotted-wal-files-to-keep", "3", "--compaction", "off"]
# Nobody cuts the power while the files are made.
MAKING = [*QUICK, "--file-store-fsync", "false"]
# The rows of the last start stay in the log.
SLOW = ["--gen1-duration", "1m", "--compaction", "off"]
# How files are told apart, and how often each kind is damaged.
KINDS_OF_FILES = {
    ".wal": 3,
    ".parquet": 3,
    ".segment": 2,
    ".base": 1,
    ".catalog": 2,
    ".checkpoint": 1,
    ".json": 0.3,
    "": 0.3,
}
# Once written these are never written again, so that cases can share them.
SHARED = {".parquet", ".segment", ".base", ".catalog", ".checkpoint", ".json"}


class Original:
    """A data directory as a server left it, and which rows are in which of its files."""

    def __init__(self, binary, directory):
        self.server = Server(binary, directory)
        self.data = self.server.data
        self.rows = {}
        self.tables = {}
        self.made = 0
        try:
            self.write_all()
        finally:
            self.server.kill()
        for manifest in sorted(self.data.rglob("*.info.json"))[MANIFESTS:]:
            manifest.unlink()
        self.files = sorted(p.relative_to(self.data) for p in self.data.rglob("*") if p.is_file())
        self.files = [file for file in self.files if not str(file).startswith(".")]
        self.marks = {
            f: {mark.decode() for mark in MARK.findall((self.data / f).read_bytes())}
            for f in self.files
            if f.suffix == ".wal"
        }
        self.by_kind = {}
        for file in self.files:
            self.by_kind.setdefault(file.suffix, []).append(file)
        if set(self.by_kind) != set(KINDS_OF_FILES):
            raise Violation(f"files of other kinds: {sorted(self.by_kind)}")

    def write_all(self):
        """Three processes, one after the other. The first has the columns, the second most of the
        snapshots, and the rows of the last stay in the log."""
        self.server.start("10ms", options=MAKING)
        self.write_tables(0)
        for column in range(COLUMNS):
            self.write("wide", chunk=column // 60, fields=f"c{column}=1i,")
        self.server.kill()
        self.server.start("10ms", options=MAKING)
        self.write_tables(1)
        chunk = 0
        while (before := self.snapshots()) < SNAPSHOTS:
            chunk += 1
            self.write("s", 1, chunk=chunk)
            if chunk % 40 == 0:
                self.write("m", ROWS_A_CHUNK, chunk=chunk // 40)
            # On a busy machine many writes would share one.
            until = time.monotonic() + SNAPSHOT_SECONDS_MAX
            while self.snapshots() == before and time.monotonic() < until:
                time.sleep(0.005)
            if chunk > SNAPSHOTS_TRIED_MAX:
                raise Violation(f"only {self.snapshots()} snapshots")
        self.forget("s")
        self.server.kill()
        self.server.start("50ms", options=SLOW)
        self.write_tables(2)
        for _ in range(ROWS_A_CHUNK):
            self.write("m", chunk=chunk // 40 + 1)
        for column in range(4):
            self.write("wide", chunk=3, fields=f"d{column}=1i,")

    def forget(self, table):
        """Deletes a table that was there for the number of its snapshots only."""
        files = self.paths(table)
        path = f"/api/v3/configure/table?db=crash&table={table}&hard_delete_at=now"
        if self.server.send("DELETE", path)[0] != 200:
            raise Violation(f"table {table} cannot be deleted")
        self.rows = {name: row for name, row in self.rows.items() if row[0] != table}
        del self.tables[table]
        for path in files:
            (self.data / path).unlink()

    def paths(self, table):
        sql = f"SELECT path FROM system.parquet_files WHERE table_name = '{table}'"
        return [row["path"] for row in self.server.query(sql)]

    def snapshots(self):
        # The folder comes into being with the first of them.
        return sum(1 for _ in self.data.glob(f"{Server.NODE}/snapshots/*"))

    def write_tables(self, start):
        for table in range(TABLES_A_START):
            self.write(f"t{start}x{table}")

    def write(self, table, count=1, chunk=0, fields=""):
        lines = []
        for _ in range(count):
            number = self.made
            self.made += 1
            # Text that compression leaves as it is, to find it in the files.
            name = f"row-{hashlib.sha256(str(number).encode()).hexdigest()[:10]}-end"
            time_ns = FIRST_TIME_NS + chunk * CHUNK_NS + number
            self.rows[name] = self.content(table, number, time_ns)
            even = "true" if number % 2 == 0 else "false"
            lines.append(
                f'{table},w=x{number % 7} {fields}s="{name}",n={number}i,f={number * 0.37},'
                f"b={even} {time_ns}"
            )
        self.tables.setdefault(table, 0)
        self.tables[table] += count
        if self.server.write("crash", lines) != 204:
            raise Violation(f"a write to {table} was refused")

    @staticmethod
    def content(table, number, time_ns):
        return (table, number, time_ns, f"x{number % 7}", number * 0.37, number % 2 == 0)


def flip(path, chance, _others):
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    replace(path, content)


def add_byte(path, chance, _others):
    content = bytearray(path.read_bytes())
    content.insert(chance.randrange(len(content) + 1), chance.randrange(256))
    replace(path, content)


def remove_byte(path, chance, _others):
    content = bytearray(path.read_bytes())
    del content[chance.randrange(len(content))]
    replace(path, content)


def cut_short(path, chance, _others):
    content = path.read_bytes()
    replace(path, content[: chance.randrange(len(content))])


def zero_end(path, chance, _others):
    content = path.read_bytes()
    keep = chance.randrange(len(content))
    replace(path, content[:keep] + bytes(len(content) - keep))


def empty(path, _chance, _others):
    replace(path, b"")


def remove(path, _chance, _others):
    path.unlink()


def copy_over(path, chance, others):
    """The content of another file of its kind replaces it."""
    replace(path, chance.choice(others).read_bytes())


def exchange(path, chance, others):
    other = chance.choice(others)
    content = path.read_bytes()
    replace(path, other.read_bytes())
    replace(other, content)


def copy_to_end(path, _chance, others):
    """It is there once more, under the number after the last."""
    last = max([path, *others])
    number = last.name.split(".")[0]
    following = f"{int(number) + 1:0{len(number)}}"
    replace(last.with_name(last.name.replace(number, following)), path.read_bytes())


def replace(path, content):
    """The old file may be shared with other cases."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


KINDS = [
    flip,
    flip,
    flip,
    add_byte,
    remove_byte,
    cut_short,
    zero_end,
    empty,
    remove,
    copy_over,
    exchange,
    copy_to_end,
]
NEEDS_OTHERS = (copy_over, exchange)


class Case:
    """One damaged copy."""

    def __init__(self, binary, directory, original, chance):
        self.original = original
        self.chance = chance
        self.server = Server(binary, directory)
        self.data = self.server.data
        for file in original.files:
            to = self.data / file
            to.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in SHARED:
                os.link(original.data / file, to)
            else:
                shutil.copyfile(original.data / file, to)

    def damage(self, kind, file):
        path = self.data / file
        # Parquet files have a folder for each chunk; those of a table are of one kind.
        folder = path.parent.parent.parent if file.suffix == ".parquet" else path.parent
        others = sorted(p for p in folder.rglob(f"*{path.suffix}") if p != path and p.is_file())
        if file.suffix == "":
            others = []
        if (not others and kind in NEEDS_OTHERS) or (file.suffix == "" and kind is copy_to_end):
            kind = flip
        before = {p: p.read_bytes() for p in [path, *others]}
        kind(path, self.chance, others)
        names = {p for p in before if not p.exists() or p.read_bytes() != before[p]}
        if file.suffix:
            names |= set(folder.rglob(f"*{path.suffix}")) - set(before)
        self.damaged = {p.relative_to(self.data) for p in names}
        self.removed = {file for file in self.damaged if not (self.data / file).exists()}
        self.suffix = file.suffix
        return kind.__name__

    def check(self):
        """Returns what the server did about it."""
        if not self.damaged:
            return "nothing changed"
        self.server.launch("50ms", options=self.chance.choice([SLOW, SLOW, SLOW, QUICK]))
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.server.process.poll() is None and not self.server.healthy():
            if time.monotonic() > deadline:
                raise Violation("the start neither succeeds nor fails")
            time.sleep(0.005)
        if self.server.process.poll() is not None:
            self.server.expect_clean_log()
            self.server.expect_exit([1], 0)
            if not self.named():
                raise Violation(f"the start failed without naming any of {self.names()}")
            return "start refused"
        missing, failed = self.missing()
        self.server.expect_clean_log()
        return self.judge(missing, failed)

    def judge(self, missing, failed):
        """The missing rows must be in damaged files, and the damage reported."""
        allowed = set().union(*(self.original.marks.get(f, set()) for f in self.damaged))
        if missing - allowed:
            lost = sorted(missing - allowed)
            raise Violation(f"{len(lost)} rows of undamaged files are missing: {lost[:5]}")
        reported = self.named()
        if missing and not reported and not self.is_end():
            raise Violation(f"{len(missing)} rows are missing, and {self.names()} not reported")
        if missing or failed or self.chance.random() < 0.15:
            self.go_on(missing, failed)
        if failed:
            return "queries refused"
        what = "reported" if reported else "not noticed"
        return f"{what}, {len(missing)} rows missing" if missing else f"{what}, all rows there"

    def go_on(self, missing, failed):
        """New rows, some in new tables, do not clash with what is damaged."""
        tables = [table for table in ("m", "fresh0", "fresh1") if table not in failed]
        for table in tables:
            if self.server.write("crash", [f'{table},w=new s="fresh",fresh=1i 1']) != 204:
                raise Violation("writes are refused after the start")
        self.server.kill()
        self.server.start("50ms", options=SLOW)
        again, failed_again = self.missing()
        if again - missing:
            raise Violation(f"rows are lost after another start: {sorted(again - missing)[:5]}")
        if failed_again - failed:
            raise Violation(f"tables {failed_again - failed} cannot be read after another start")
        for table in tables:
            if len(self.server.query(f"SELECT s FROM {table} WHERE w = 'new'") or []) != 1:
                raise Violation(f"the new row of {table} is lost")
            if self.server.query(f"SELECT count(fresh) AS c FROM {table}") != [{"c": 1}]:
                raise Violation(f"old rows of {table} have values in a new column")

    def missing(self):
        """The rows that are not there, but for those of tables that cannot be read because of a
        Parquet file, and these tables. It is a violation when other rows are there."""
        missing, failed = set(self.original.rows), set()
        small = [table for table in self.original.tables if table.startswith("t")]
        found = self.read(small, missing)
        for tables in [[table] for table in self.original.tables if table not in small] + (
            [] if found else [[table] for table in small]
        ):
            if not self.read(tables, missing):
                failed.add(tables[0])
                missing = {n for n in missing if self.original.rows[n][0] != tables[0]}
        return missing, failed

    def read(self, tables, missing):
        """False if the query failed because of a damaged Parquet file."""
        columns = "s, n, w, f, b, CAST(time AS BIGINT) AS t"
        selects = [f"SELECT '{table}' AS tab, {columns} FROM {table}" for table in tables]
        try:
            rows = self.server.query(" UNION ALL ".join(selects))
        except (Violation, OSError, http.client.HTTPException, ValueError) as failure:
            return self.expect_named(tables, failure)
        if rows is None and len(tables) > 1:
            return False
        for row in rows or []:
            if row.get("w") == "new":
                continue
            name = row.get("s")
            content = (row["tab"], *(row.get(column) for column in "ntwfb"))
            if self.original.rows.get(name) != content:
                raise Violation(f"a wrong row: {row}")
            if name not in missing:
                raise Violation(f"the row {row} is there twice")
            missing.discard(name)
        return True

    def expect_named(self, tables, failure):
        """A query may fail if a Parquet file is damaged, which the answer names."""
        if self.suffix != ".parquet":
            raise Violation(f"a query of {tables} failed: {failure!r}")
        log = self.server.log_path.read_text(errors="replace")
        if not any(str(file) in f"{failure!r}{log}" for file in self.damaged):
            raise Violation(f"a query of {tables} did not name {self.names()}: {failure!r}")
        return False

    def is_end(self):
        """Only the last file of the log is damaged: what is missing there leaves no trace."""
        logs = [file for file in self.original.files if file.suffix == ".wal"]
        return self.damaged == self.removed == {logs[-1]}

    def named(self):
        """Whether a warning, an error or the closing line names a damaged file."""
        numbers = {int(n) for file in self.damaged if (n := file.name.split(".")[0]).isdigit()}
        for line in self.server.log_path.read_text(errors="replace").splitlines():
            if " INFO " in line:
                continue
            if any(str(file) in line for file in self.damaged):
                return True
            # Only rows that need it tell that the last record is gone.
            if CATALOG_END in line and any(file.suffix == ".catalog" for file in self.damaged):
                return True
            said = {int(digits) for digits in re.findall(r"\b\d+\b", line)}
            if numbers & said and ("wal" in line.lower() or "catalog" in line.lower()):
                return True
        return False

    def names(self):
        return ", ".join(sorted(map(str, self.damaged)))


class Cases:
    """All of them, several at a time."""

    def __init__(self, arguments, directory, chance):
        (directory / "original").mkdir()
        self.arguments = arguments
        self.directory = directory
        self.original = Original(arguments.binary, directory / "original")
        self.seed = chance.getrandbits(64)
        self.lock = threading.Lock()
        self.outcomes = {}
        self.violations = []

    def one(self, number):
        if len(self.violations) >= self.arguments.violations:
            return
        chance = random.Random(f"{self.seed} {number}")
        only = [kind for kind in self.arguments.only.split(",") if kind in KINDS_OF_FILES]
        kinds = only or list(KINDS_OF_FILES)
        suffix = chance.choices(kinds, [KINDS_OF_FILES[kind] for kind in kinds])[0]
        files = self.original.by_kind[suffix]
        # Of these only the newest are read.
        is_segment = suffix == ".segment" and chance.random() < 0.8
        file = chance.choice(files[-SEGMENTS_READ:] if is_segment else files)
        folder = self.directory / f"case{number}"
        folder.mkdir()
        case = Case(self.arguments.binary, folder, self.original, chance)
        kind, keep = "", False
        try:
            kind = case.damage(chance.choice(KINDS), file)
            outcome = case.check()
        except Violation as violation:
            outcome, keep = "VIOLATION", True
            self.violations.append(f"case {number}, {kind} {file} ({case.names()}): {violation}")
            print(f"VIOLATION: {self.violations[-1]}", flush=True)
        finally:
            case.server.kill()
        print(f"case {number}: {kind} {file}: {outcome}", flush=True)
        with self.lock:
            key = (suffix or "wal-owner", kind, re.sub(r"\d+ ", "", outcome))
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
        if not keep:
            shutil.rmtree(folder)


def run(arguments, directory, chance):
    cases = Cases(arguments, directory, chance)
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(cases.one, range(1, arguments.rounds + 1)))
    for (suffix, kind, outcome), count in sorted(cases.outcomes.items()):
        print(f"{suffix} {kind}: {count} × {outcome}")
    if cases.violations:
        violation = Violation(f"{len(cases.violations)} cases, first {cases.violations[0]}")
        violation.count = len(cases.violations)
        raise violation
    return f"{arguments.rounds} cases of damage, no panic, no wrong row, none lost in silence"


if __name__ == "__main__":
    options = [("workers", 2), ("violations", 1), ("only", "all")]
    sys.exit(main(__doc__, "damage", run, rounds=300, options=options))
