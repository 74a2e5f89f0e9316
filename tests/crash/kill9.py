#!/usr/bin/env python3
"""Kills the server with SIGKILL while clients write, again and again on one data directory.

Snapshots run all the while, one client reads, one makes and deletes tables, and one writes rows
that expire. After every restart the whole history is read back and compared with what the clients
know: every acknowledged row is there, no row is there twice, no row is there that nobody sent, a
row that was once seen after a restart is never lost again, and what was written last into a field
is what it holds. Then the folder holds no files that nothing names.

    tests/crash/kill9.py target/release/influxdb3 [--rounds 100] [--writers 4] [--seed N]

With `--compacting` a kill comes within milliseconds of a merged file's being stored, unless none is
for two seconds.

Prints one line a round and a closing line; exits with 1 at the first violation and keeps the data
directory then.
"""

import shutil
import sys
import time

from harness import FLUSH_INTERVALS, Burst, MidCompaction, Namer, Reader, Retained, Server
from harness import Violation, Writer, acknowledged, main, verify, verify_files

KILL_AFTER_SECONDS = (0.1, 0.9)
# A fresh directory after so many rounds: each round reads everything.
ROUNDS_A_DIRECTORY = 15
NAMES_CHECKED = 5


class Run:
    """One data directory."""

    def __init__(self, arguments, directory, chance, compaction):
        self.directory = directory
        directory.mkdir()
        self.chance = chance
        self.compaction = compaction
        self.server = Server(
            arguments.binary, directory, chance, compacting=arguments.compacting
        )
        self.writers = [Writer(number) for number in range(arguments.writers)]
        self.reader = Reader(self.writers)
        self.namer = Namer()
        self.retained = Retained()
        self.files = 0

    def rounds(self, numbers):
        try:
            self.server.start(self.chance.choice(FLUSH_INTERVALS))
            self.retained.prepare(self.server)
            for number in numbers:
                self.one_round(number)
            self.namer.verify(self.server)
            self.server.expect_clean_log("damaged")
        finally:
            self.server.kill()
        shutil.rmtree(self.directory)

    def one_round(self, number):
        before = acknowledged(self.writers)
        lasted = self.write_and_kill()
        interval = self.chance.choice(FLUSH_INTERVALS)
        ready = self.server.start(interval)
        self.retained.verify(self.server)
        held = verify(self.server, self.writers)
        self.namer.verify(self.server, NAMES_CHECKED, self.chance)
        self.files = verify_files(self.server)
        if self.compaction:
            self.compaction.count(self.server)
        print(
            f"round {number}: killed after {lasted:.2f} s, "
            f"{acknowledged(self.writers) - before} rows acknowledged, ready in {ready:.2f} s "
            f"(flush interval {interval}), {held} rows verified, {self.files} files",
            flush=True,
        )

    def write_and_kill(self):
        """One burst of writes, ended by SIGKILL; returns how long it lasted."""
        clients = [*self.writers, self.reader, self.namer, self.retained]
        burst = Burst(self.server.port, clients, self.chance)
        lasted = self.chance.uniform(*KILL_AFTER_SECONDS)
        time.sleep(lasted)
        if self.compaction:
            self.compaction.wait(self.server, self.chance)
        try:
            self.server.expect_alive()
        finally:
            burst.ending.set()
            self.server.kill()
            burst.join()
        return lasted


def run(arguments, directory, chance):
    rows = refused = reads = files = deleted = 0
    compaction = MidCompaction() if arguments.compacting else None
    for first in range(1, arguments.rounds + 1, ROUNDS_A_DIRECTORY):
        last = min(first + ROUNDS_A_DIRECTORY - 1, arguments.rounds)
        a_run = Run(arguments, directory / f"from{first}", chance, compaction)
        a_run.rounds(range(first, last + 1))
        rows += acknowledged(a_run.writers)
        refused += sum(writer.refused for writer in a_run.writers)
        reads += a_run.reader.reads
        files += a_run.files
        deleted += a_run.namer.deleted
    if rows == 0:
        raise Violation(f"{rows} rows and {files} files: nothing was tested")
    merging = compaction.told() if compaction else ""
    return (
        f"{arguments.rounds} kills, {merging}"
        f"{rows} rows acknowledged, {refused} writes refused with 503, "
        f"{reads} reads under way, {files} files, {deleted} tables deleted, "
        "none lost, none doubled, none invented"
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, "kill9", run, options=[("writers", 4)], compacting=True))
