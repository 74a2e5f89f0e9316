#!/usr/bin/env python3
"""Lets one system call after the other fail while clients write.

strace makes the Nth fdatasync, fsync, link, unlink or write to a log file of a thread fail, once,
a few times or from then on. Each point has a data directory of its own. The server may refuse
writes, or end with a documented code; what it acknowledged must be seen at once, and after a
kill and a start without faults, and nothing may be reported as damaged. Snapshots run all the
while.

    tests/crash/io_errors.py target/release/influxdb3 [--rounds 100] [--seed N]

A round is one point. Needs Linux with strace and the right to trace; says `skipped` without them.
"""

import shutil
import subprocess
import sys
import time

from harness import Burst, Namer, Server, Skipped, Violation, Writer, acknowledged, main, verify
from harness import verify_files

# A start that failed, and an end because going on could lose data.
EXIT_CODES = [1, 70]
FAULTS = [
    ("fdatasync", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("fsync", "EIO"),
    ("fsync", "ENOSPC"),
    ("linkat,link", "EIO"),
    ("linkat,link", "ENOSPC"),
    ("unlink,unlinkat", "EIO"),
    ("write", "ENOSPC"),
    ("write", "EIO"),
]
# Which calls of a thread fail: the Nth, three from the Nth on, or all from then on.
SHAPES = ["{n}", "{n}..{m}", "{n}+"]
LOG_FILES_WATCHED = 60
WRITE_SECONDS = 0.5
INJECTED = "(INJECTED)"


def strace(data, output, calls, error, when):
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", output, "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error={error}:when={when}"]
    if calls == "write":
        # Only writes to the log: others wake threads, or go to a client.
        for number in range(1, LOG_FILES_WATCHED):
            command += ["-P", data / "crash" / "wal" / f"{number:011}.wal"]
    return command


def expect_strace():
    try:
        tried = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"]
        done = subprocess.run(tried, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Skipped("strace is not installed") from None
    if done.returncode != 0:
        raise Skipped(f"strace cannot trace: {done.stderr.strip()}")


class Point:
    """One way to fail."""

    def __init__(self, binary, directory, chance):
        self.directory = directory
        directory.mkdir()
        self.server = Server(binary, directory, chance)
        self.writers = [Writer(number, tolerant=True) for number in range(3)]
        self.namer = Namer()
        self.chance = chance
        self.output = directory / "strace"

    def run(self, calls, error, when):
        """Returns how many calls failed, and what became of the server."""
        wrapper = strace(self.server.data, self.output, calls, error, when)
        self.server.launch("50ms", wrapper)
        try:
            outcome = self.write_under_faults()
        finally:
            self.kill_traced()
        injected = self.output.read_text(errors="replace").count(INJECTED)
        self.server.start("50ms")
        try:
            verify(self.server, self.writers)
            self.namer.verify(self.server)
            verify_files(self.server)
            if self.server.write("crash", ["after,w=x n=1i 1"]) != 204:
                raise Violation("writes are refused although nothing fails any more")
        finally:
            self.server.kill()
        self.server.expect_clean_log("damaged")
        return injected, outcome

    def write_under_faults(self):
        while self.server.process.poll() is None and not self.server.healthy():
            time.sleep(0.005)
        if self.server.process.poll() is not None:
            return f"start refused, {self.server.expect_exit(EXIT_CODES, 0)}"
        burst = Burst(self.server.port, [*self.writers, self.namer], self.chance)
        time.sleep(WRITE_SECONDS)
        burst.ending.set()
        burst.join()
        if self.server.process.poll() is not None:
            return f"ended, {self.server.expect_exit(EXIT_CODES, 0)}"
        verify(self.server, self.writers)
        refused = sum(writer.refused for writer in self.writers)
        return f"up, {refused} writes refused"

    def kill_traced(self):
        """Kills the server and, with it, strace, which ends with what it traces."""
        if self.server.process.poll() is None:
            children = f"/proc/{self.server.process.pid}/task/{self.server.process.pid}/children"
            with open(children, encoding="ascii") as pids:
                for pid in pids.read().split():
                    subprocess.run(["kill", "-KILL", pid], check=False)
            self.server.process.wait()


def run(arguments, directory, chance):
    expect_strace()
    fired = number = rows = 0
    while fired < arguments.rounds:
        calls, error = FAULTS[number % len(FAULTS)]
        shape = SHAPES[number // len(FAULTS) % len(SHAPES)]
        # The first few calls belong to the start, and the later ones to the writes.
        n = chance.randint(1, 6) if chance.random() < 0.5 else chance.randint(7, 30)
        when = shape.format(n=n, m=n + 2)
        number += 1
        point = Point(arguments.binary, directory / f"point{number}", chance)
        injected, outcome = point.run(calls, error, when)
        fired += injected > 0
        rows += acknowledged(point.writers)
        print(
            f"point {number}: {calls} {error} when={when}: {injected} failed, {outcome}, "
            f"{acknowledged(point.writers)} rows acknowledged",
            flush=True,
        )
        shutil.rmtree(point.directory)
        if number >= 3 * arguments.rounds + 10:
            raise Violation(f"only {fired} of {number} points made a call fail")
    return f"{fired} I/O errors ({number} tried), {rows} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "io-errors", run, rounds=100))
