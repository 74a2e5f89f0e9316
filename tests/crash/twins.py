#!/usr/bin/env python3
"""Starts several processes on one node id: exactly one may acknowledge, the others end.

Each round is one of: a second process starts while clients write to the first; three start at the
same moment; the first is stopped with SIGSTOP, a second takes over, the first goes on with
SIGCONT. Clients write to every process. Then exactly one lives, the others have ended with the
documented code, and after a restart every row that any of them acknowledged is there, once.

    tests/crash/twins.py target/release/influxdb3 [--rounds 20] [--freeze 1.0] [--seed N]

Snapshots run all the while, so that the log that a frozen process left may be gone when it wakes
up. `--freeze` is how many seconds it stands still at most.

A process that nobody writes to does not notice that it was replaced; one that is written to does at
that write. Runs on Linux and macOS.
"""

import signal
import sys
import time

from harness import FLUSH_INTERVALS, Burst, Server, Violation, Writer
from harness import acknowledged, main, verify, verify_files

EXIT_UNSAFE = 70
# A process that finds its successor while it starts is a start that failed.
EXIT_FAILED_START = 1
NOTICE_SECONDS_MAX = 10
WRITERS_EACH = 6


class Round:
    """The processes of one round, on one data directory, and the clients of each."""

    def __init__(self, arguments, directory, number, chance):
        self.binary = arguments.binary
        self.freeze = arguments.freeze
        self.directory = directory / f"round{number}"
        self.directory.mkdir()
        self.chance = chance
        self.servers = []
        self.writers = []
        self.bursts = []

    def launch(self):
        name = f"server{len(self.servers)}.log"
        server = Server(self.binary, self.directory, self.chance, log_name=name)
        server.launch(self.chance.choice(FLUSH_INTERVALS))
        self.servers.append(server)
        return server

    def write_to(self, server):
        first = len(self.writers)
        writers = [Writer(n, tolerant=True) for n in range(first, first + WRITERS_EACH)]
        self.writers += writers
        self.bursts.append(Burst(server.port, writers, self.chance))
        return writers

    def pause(self, shortest=0.02, longest=0.5):
        time.sleep(self.chance.uniform(shortest, longest))

    def staggered(self):
        """Takeovers under load, the next one at times before the last one is through."""
        for _ in range(self.chance.choice([2, 3])):
            server = self.launch()
            self.wait_served(server)
            self.write_to(server)
            self.pause()

    def together(self):
        servers = [self.launch() for _ in range(3)]
        for server in servers:
            self.wait_served(server)
        for server in servers:
            self.write_to(server)
        self.pause()

    def frozen(self):
        """The first one is stopped in the middle of its writes and wakes up as a ghost."""
        ghost = self.launch()
        self.wait_served(ghost)
        self.write_to(ghost)
        self.pause(0.1)
        ghost.process.send_signal(signal.SIGSTOP)
        successor = self.launch()
        self.wait_served(successor)
        self.write_to(successor)
        third = self.chance.random() < 0.5
        if third:
            # Frozen before it wrote anything under the number that it took.
            successor.process.send_signal(signal.SIGSTOP)
            last = self.launch()
            self.wait_served(last)
            self.write_to(last)
        self.pause(0.1, self.freeze)
        late = self.write_to(ghost)
        ghost.process.send_signal(signal.SIGCONT)
        if third:
            late += self.write_to(successor)
            successor.process.send_signal(signal.SIGCONT)
        self.pause(0.3)
        if acknowledged(late) > 0:
            raise Violation("a process that was replaced acknowledged writes")

    def wait_served(self, server):
        """Until it is healthy, or has ended because a faster one took over."""
        deadline = time.monotonic() + NOTICE_SECONDS_MAX
        while server.process.poll() is None and not server.healthy():
            if time.monotonic() > deadline:
                raise Violation("a process is neither healthy nor ended")
            time.sleep(0.005)

    def settle(self):
        """All but one end, and their clients with them."""
        deadline = time.monotonic() + NOTICE_SECONDS_MAX
        while len(living := [s for s in self.servers if s.process.poll() is None]) > 1:
            if time.monotonic() > deadline:
                raise Violation(f"{len(living)} processes live and are written to")
            time.sleep(0.02)
        if not living:
            raise Violation("no process is left")
        for server in self.servers:
            if server is not living[0]:
                server.expect_exit([EXIT_UNSAFE, EXIT_FAILED_START], 0)
        try:
            status = living[0].write("crash", ["survivor,w=x n=1i 1"])
        except OSError as error:
            raise Violation(f"the survivor does not answer: {error!r}") from error
        if status != 204:
            raise Violation(f"the survivor answers a write with {status}")

    def end(self):
        for burst in self.bursts:
            burst.ending.set()
        for server in self.servers:
            server.kill()
        for burst in self.bursts:
            burst.join()

    def run(self, kind):
        try:
            getattr(self, kind)()
            self.settle()
        finally:
            self.end()
        after = self.launch()
        try:
            after.wait_ready()
            held = verify(after, self.writers)
            # Once more: what the first start after the takeovers wrote must not hide anything.
            after.write("crash", ["after,w=x n=1i 1"])
            after.kill()
            after.start("1s")
            verify(after, self.writers)
            # One that wakes may put back files of a snapshot that have been merged since.
            verify_files(after, may_be_more=True)
            if not after.query("SELECT * FROM after"):
                raise Violation("the row that was written after the takeovers is lost")
        finally:
            after.kill()
        for server in self.servers:
            server.expect_clean_log("damaged")
        return held


def run(arguments, directory, chance):
    rows = 0
    for number in range(1, arguments.rounds + 1):
        kind = ["staggered", "together", "frozen"][number % 3]
        a_round = Round(arguments, directory, number, chance)
        held = a_round.run(kind)
        rows += acknowledged(a_round.writers)
        print(
            f"round {number}: {kind}, {len(a_round.servers) - 1} processes, "
            f"{acknowledged(a_round.writers)} rows acknowledged, {held} rows verified",
            flush=True,
        )
    return f"{arguments.rounds} rounds of twins, {rows} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "twins", run, rounds=20, options=[("freeze", 1.0)]))
