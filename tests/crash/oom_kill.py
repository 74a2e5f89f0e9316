#!/usr/bin/env python3
"""Has the kernel kill the server because its control group is out of memory, while clients write.

The server starts in a control group that has memory enough, so that it does not know better. Then
the limit comes down to little more than it uses. One client sends rows with long texts, until the
kernel ends the server. After a start without a limit everything acknowledged is there.

    tests/crash/oom_kill.py target/release/influxdb3 [--rounds 20] [--seed N]

Needs Linux and root with the memory controller of control groups, in either version; says
`skipped` without.
"""

import http.client
import os
import shutil
import sys
import time
from pathlib import Path

from harness import FIRST_TIME_NS, FLUSH_INTERVALS, Burst, Reader, Server, Skipped, Violation
from harness import Writer, acknowledged, main, post_lines, verify, verify_files

MEMORY_MORE = (2 << 20, 24 << 20)
SECONDS_MAX = 60
CRAWL_SECONDS = 10
LESS_THAN_USED = 4 << 20
ROUNDS_A_DIRECTORY = 8
TEXT_BYTES = 20_000
TEXTS_A_BATCH = 10


class Group:
    """A control group for one server."""

    def __init__(self):
        first = Path("/sys/fs/cgroup/memory")
        root, self.limit_file, self.usage_file = (
            (first, "memory.limit_in_bytes", "memory.usage_in_bytes")
            if first.is_dir()
            else (Path("/sys/fs/cgroup"), "memory.max", "memory.current")
        )
        self.folder = root / f"influxdb3-oom-{os.getpid()}"
        try:
            self.folder.mkdir()
            (self.folder / self.limit_file).read_text()
        except OSError as error:
            self.end()
            raise Skipped(f"no control group for memory: {error}") from None

    def wrapper(self):
        return ["sh", "-c", f'echo $$ >{self.folder}/cgroup.procs && exec "$@"', "sh"]

    def tighten(self, more):
        used = int((self.folder / self.usage_file).read_text())
        try:
            (self.folder / self.limit_file).write_text(str(used + more))
        except OSError:
            # It uses more by now.
            pass

    def end(self):
        if self.folder.is_dir():
            self.folder.rmdir()


class Hog:
    """A client whose rows take much memory."""

    def __init__(self):
        self.sent = self.acknowledged = 0
        self.required = set()
        self.error = None

    def write_until(self, port, killing, _chance):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while not killing.is_set():
                numbers = range(self.sent, self.sent + TEXTS_A_BATCH)
                self.sent += TEXTS_A_BATCH
                lines = [
                    f'big,w=hog n={n}i,s="{n % 10}{"x" * TEXT_BYTES}" {FIRST_TIME_NS + n}'
                    for n in numbers
                ]
                if post_lines(connection, "crash", lines)[0] == 204:
                    self.required |= set(numbers)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def verify(self, server):
        rows = server.query("SELECT n, length(s) AS l, left(s, 1) AS f FROM big") or []
        found = [row["n"] for row in rows]
        if len(set(found)) != len(found):
            raise Violation("rows with long texts are there twice")
        for row in rows:
            if not 0 <= row["n"] < self.sent or row["l"] != TEXT_BYTES + 1:
                raise Violation(f"nobody sent the row {row}")
            if row["f"] != str(row["n"] % 10):
                raise Violation(f"the text of row {row['n']} is another one")
        if lost := self.required - set(found):
            raise Violation(f"{len(lost)} rows with long texts are lost: {sorted(lost)[:5]}")
        self.required |= set(found)


class Run:
    """One data directory."""

    def __init__(self, binary, directory, group, chance):
        self.directory = directory
        directory.mkdir()
        self.chance = chance
        self.group = group
        self.server = Server(binary, directory, chance)
        self.writers = [Writer(number, tolerant=True) for number in range(3)]
        self.hog = Hog()

    def rounds(self, numbers):
        try:
            for number in numbers:
                lasted = self.until_killed()
                self.server.start(self.chance.choice(FLUSH_INTERVALS))
                held = verify(self.server, self.writers)
                self.hog.verify(self.server)
                files = verify_files(self.server)
                self.server.kill()
                print(
                    f"round {number}: killed by the kernel after {lasted:.2f} s, {held} rows and "
                    f"{self.hog.sent} with long texts verified, {files} files",
                    flush=True,
                )
            self.server.expect_clean_log("damaged")
        finally:
            self.server.kill()
        shutil.rmtree(self.directory)

    def until_killed(self):
        wrapper = self.group.wrapper()
        self.server.start(self.chance.choice(FLUSH_INTERVALS), wrapper)
        burst_of = [*self.writers, Reader(self.writers, tolerant=True), self.hog]
        burst = Burst(self.server.port, burst_of, self.chance)
        began = time.monotonic()
        try:
            time.sleep(self.chance.uniform(0.1, 0.5))
            self.group.tighten(int(self.chance.uniform(*MEMORY_MORE)))
            # A server that has just written a snapshot needs less: the limit follows. One that
            # reads its own program again and again, because that is all the kernel can take from
            # it, crawls on for minutes: less than it uses ends that.
            while self.server.process.poll() is None and time.monotonic() - began < SECONDS_MAX:
                time.sleep(0.5)
                crawls = time.monotonic() - began > CRAWL_SECONDS
                self.group.tighten(-LESS_THAN_USED if crawls else 0)
            self.server.expect_exit([-9], 1)
        finally:
            burst.ending.set()
            self.server.kill()
            burst.join()
            self.group.tighten(1 << 40)
        return time.monotonic() - began


def run(arguments, directory, chance):
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise Skipped("control groups need Linux and root")
    group = Group()
    rows = 0
    try:
        for first in range(1, arguments.rounds + 1, ROUNDS_A_DIRECTORY):
            last = min(first + ROUNDS_A_DIRECTORY - 1, arguments.rounds)
            a_run = Run(arguments.binary, directory / f"from{first}", group, chance)
            a_run.rounds(range(first, last + 1))
            rows += acknowledged(a_run.writers) + len(a_run.hog.required)
    finally:
        group.end()
    return f"{arguments.rounds} kills for want of memory, {rows} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "oom-kill", run, rounds=20))
