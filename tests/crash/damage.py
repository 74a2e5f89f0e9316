#!/usr/bin/env python3
"""Damages one file of a stopped server's data directory, starts it, and looks what comes of it.

A byte is flipped, added or removed, a file is cut short, emptied, removed, exchanged with another
or copied under the next number: files of the log, and records and checkpoints of the catalog. The
server must either not start and name the file, or start, report the file if rows are missing, and
serve only rows that were sent: all of those in files that are whole. It must take writes then, and
have them after another start. It must never panic.

    tests/crash/damage.py target/release/influxdb3 [--rounds 300] [--seed N]

A round is one case. Some damage cannot be told from what a power loss leaves, and is not counted
against the server: the last group of a process's last file may be torn, files may be missing from
the end, and what the last sync of the catalog added may be missing if no row needs it.
"""

import hashlib
import re
import shutil
import sys
import time
from pathlib import Path

from harness import FIRST_TIME_NS, Server, Violation, main

STARTS = 3
TABLES_A_START = 4
ROWS_A_START = 40
# More names than a checkpoint of the catalog waits for, so that there is one, and records after it.
COLUMNS_FIRST = 110
COLUMNS_LATER = 4
START_SECONDS_MAX = 30
MARK = re.compile(rb"row-[0-9a-f]{10}-end")


class Original:
    """A data directory as a server left it, and which rows are in which of its files."""

    def __init__(self, binary, directory):
        self.server = Server(binary, directory)
        self.data = self.server.data
        self.rows = {}
        self.tables = set()
        try:
            self.write_all()
        finally:
            self.server.kill()
        self.files = sorted(p.relative_to(self.data) for p in self.data.rglob("*.*") if p.is_file())
        self.marks = {f: set(MARK.findall((self.data / f).read_bytes())) for f in self.files}
        found = set().union(*self.marks.values())
        missing = {name for name in self.rows if name.encode() not in found}
        if missing:
            raise Violation(f"rows are in no file: {sorted(missing)[:5]}")

    def write_all(self):
        for start in range(STARTS):
            self.server.start("50ms")
            for table in range(TABLES_A_START):
                self.write(f"t{start}x{table}")
            for _ in range(ROWS_A_START):
                self.write("m")
                time.sleep(0.005)
            for column in range(COLUMNS_LATER if start else COLUMNS_FIRST):
                self.write("m", f"c{start}x{column}=1i,")
            self.server.kill()

    def write(self, table, fields=""):
        number = len(self.rows)
        # Text that compression leaves as it is, to find it in the files.
        name = f"row-{hashlib.sha256(str(number).encode()).hexdigest()[:10]}-end"
        self.rows[name] = (table, number)
        self.tables.add(table)
        line = f'{table},w=x {fields}s="{name}",n={number}i {FIRST_TIME_NS + number}'
        if self.server.write("crash", [line]) != 204:
            raise Violation(f"the write of {name} was refused")


def flip(path, chance, _others):
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def add_byte(path, chance, _others):
    content = bytearray(path.read_bytes())
    content.insert(chance.randrange(len(content) + 1), chance.randrange(256))
    path.write_bytes(content)


def remove_byte(path, chance, _others):
    content = bytearray(path.read_bytes())
    del content[chance.randrange(len(content))]
    path.write_bytes(content)


def cut_short(path, chance, _others):
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def zero_end(path, chance, _others):
    content = path.read_bytes()
    keep = chance.randrange(len(content))
    path.write_bytes(content[:keep] + bytes(len(content) - keep))


def empty(path, _chance, _others):
    path.write_bytes(b"")


def remove(path, _chance, _others):
    path.unlink()


def copy_over(path, chance, others):
    """The content of another file of its kind replaces it."""
    shutil.copyfile(chance.choice(others), path)


def exchange(path, chance, others):
    other = chance.choice(others)
    content = path.read_bytes()
    shutil.copyfile(other, path)
    other.write_bytes(content)


def copy_to_end(path, _chance, others):
    """It is there once more, under the number after the last."""
    last = max([path, *others])
    number = f"{int(last.stem) + 1:0{len(last.stem)}}"
    shutil.copyfile(path, last.with_name(number + last.suffix))


KINDS = [
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


class Case:
    """One damaged copy."""

    def __init__(self, binary, directory, original):
        shutil.copytree(original.data, directory / "data")
        self.original = original
        self.server = Server(binary, directory)

    def damage(self, kind, file, chance):
        path = self.server.data / file
        others = sorted(p for p in path.parent.glob(f"*{path.suffix}") if p != path)
        if not others and kind in (copy_over, exchange):
            kind = flip
        before = {p: p.read_bytes() for p in [path, *others]}
        kind(path, chance, others)
        names = {p for p in before if not p.exists() or p.read_bytes() != before[p]}
        names |= set(path.parent.glob(f"*{path.suffix}")) - set(before)
        self.damaged = {p.relative_to(self.server.data) for p in names}
        return kind.__name__

    def check(self):
        """Returns what the server did about it."""
        if not self.damaged:
            return "nothing changed"
        self.server.launch("50ms")
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.server.process.poll() is None and not self.server.healthy():
            if time.monotonic() > deadline:
                raise Violation("the start neither succeeds nor fails")
            time.sleep(0.005)
        self.server.expect_clean_log()
        if self.server.process.poll() is not None:
            self.server.expect_exit([1], 0)
            if not self.named():
                raise Violation(f"the start failed without naming any of {self.names()}")
            return "start refused"
        missing = self.missing()
        return self.judge(missing)

    def judge(self, missing):
        """The missing rows must be in damaged files, and the damage reported."""
        marks = [self.original.marks[f] for f in self.damaged if f in self.original.marks]
        allowed = {mark.decode() for mark in set().union(*marks)}
        if missing - allowed:
            lost = sorted(missing - allowed)
            raise Violation(f"{len(lost)} rows of undamaged files are missing: {lost[:5]}")
        reported = self.named()
        if missing and not reported and not self.is_end():
            raise Violation(f"{len(missing)} rows are missing, and {self.names()} not reported")
        self.go_on(missing)
        what = "reported" if reported else "not noticed"
        return f"{what}, {len(missing)} rows missing" if missing else f"{what}, all rows there"

    def go_on(self, missing):
        """New rows, some in new tables, do not clash with what is damaged."""
        for table in ("m", "fresh0", "fresh1"):
            if self.server.write("crash", [f'{table},w=new s="fresh",fresh=1i 1']) != 204:
                raise Violation("writes are refused after the start")
        self.server.kill()
        self.server.start("50ms")
        again = self.missing()
        if again - missing:
            raise Violation(f"rows are lost after another start: {sorted(again - missing)[:5]}")
        for table in ("m", "fresh0", "fresh1"):
            if len(self.server.query(f"SELECT s FROM {table} WHERE w = 'new'") or []) != 1:
                raise Violation(f"the new row of {table} is lost")
            if self.server.query(f"SELECT count(fresh) AS c FROM {table}") != [{"c": 1}]:
                raise Violation(f"old rows of {table} have values in a new column")

    def missing(self):
        """The rows that are not there; it is a violation when others are."""
        missing = set(self.original.rows)
        for table in sorted(self.original.tables):
            for row in self.server.query(f"SELECT s, n, w FROM {table}") or []:
                name = row.get("s")
                if row.get("w") == "new":
                    continue
                if self.original.rows.get(name) != (table, row.get("n")):
                    raise Violation(f"table {table} has the wrong row {row}")
                if name not in missing:
                    raise Violation(f"the row {row} is there twice")
                missing.discard(name)
        return missing

    def is_end(self):
        """Only the last file of the log is damaged: what is missing there leaves no trace."""
        logs = [file for file in self.original.files if file.suffix == ".wal"]
        return self.damaged == {logs[-1]} and not (self.server.data / logs[-1]).exists()

    def named(self):
        """Whether a warning, an error or the closing line names a damaged file."""
        numbers = {int(file.stem) for file in self.damaged}
        for line in self.server.log_path.read_text(errors="replace").splitlines():
            if " INFO " in line:
                continue
            said = {int(digits) for digits in re.findall(r"\b\d+\b", line)}
            if numbers & said and ("wal" in line.lower() or "catalog" in line.lower()):
                return True
        return False

    def names(self):
        return ", ".join(sorted(map(str, self.damaged)))


def run(arguments, directory, chance):
    (directory / "original").mkdir()
    original = Original(arguments.binary, directory / "original")
    by_ending = {}
    for file in original.files:
        by_ending.setdefault(file.suffix, []).append(file)
    if set(by_ending) != {".wal", ".catalog", ".checkpoint"}:
        raise Violation(f"files of other kinds: {sorted(by_ending)}")
    outcomes = {}
    for number in range(1, arguments.rounds + 1):
        ending = chance.choice([".wal", ".wal", ".catalog", ".checkpoint"])
        file = chance.choice(by_ending[ending])
        folder = directory / f"case{number}"
        folder.mkdir()
        case = Case(arguments.binary, folder, original)
        try:
            kind = case.damage(chance.choice(KINDS), file, chance)
            outcome = case.check()
        except Violation as violation:
            raise Violation(f"case {number}, {file} ({case.names()}): {violation}") from None
        finally:
            case.server.kill()
        print(f"case {number}: {kind} {Path(file).name}: {outcome}", flush=True)
        key = (ending, re.sub(r"\d+ ", "", outcome))
        outcomes[key] = outcomes.get(key, 0) + 1
        shutil.rmtree(folder)
    for (ending, outcome), count in sorted(outcomes.items()):
        print(f"{ending}: {count} × {outcome}")
    return f"{arguments.rounds} cases of damage, no panic, no wrong row, none lost in silence"


if __name__ == "__main__":
    sys.exit(main(__doc__, "damage", run, rounds=300))
