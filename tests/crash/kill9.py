#!/usr/bin/env python3
"""Kills the server with SIGKILL while clients write, again and again on one data directory.

After every restart the whole history is read back and compared with what the clients know:
every acknowledged row is there, no row is there twice, no row is there that nobody sent, and a
row that was once seen after a restart is never lost again.

    tests/crash/kill9.py target/release/influxdb3 [--rounds 100] [--writers 4] [--seed N]

Prints one line a round and a closing line; exits with 1 at the first violation and keeps the data
directory then.
"""

import sys
import time

from harness import FLUSH_INTERVALS, Burst, Server, Violation, Writer, acknowledged, main, verify

KILL_AFTER_SECONDS = (0.2, 1.5)


def write_and_kill(server, writers, chance):
    """One burst of writes, ended by SIGKILL; returns how long it lasted."""
    burst = Burst(server.port, writers, chance)
    lasted = chance.uniform(*KILL_AFTER_SECONDS)
    time.sleep(lasted)
    try:
        server.expect_alive()
    finally:
        burst.ending.set()
        server.kill()
        burst.join()
    return lasted


def run(arguments, directory, chance):
    server = Server(arguments.binary, directory)
    writers = [Writer(number) for number in range(arguments.writers)]
    try:
        server.start(chance.choice(FLUSH_INTERVALS))
        for number in range(1, arguments.rounds + 1):
            before = acknowledged(writers)
            lasted = write_and_kill(server, writers, chance)
            flush_interval = chance.choice(FLUSH_INTERVALS)
            ready = server.start(flush_interval)
            held = verify(server, writers)
            print(
                f"round {number}: killed after {lasted:.2f} s, {acknowledged(writers) - before} "
                f"rows acknowledged, ready in {ready:.2f} s (flush interval {flush_interval}), "
                f"{held} rows verified",
                flush=True,
            )
    finally:
        server.kill()
    if acknowledged(writers) == 0:
        raise Violation("nothing was acknowledged, so nothing was tested")
    refused = sum(writer.refused for writer in writers)
    return (
        f"{arguments.rounds} kills, {acknowledged(writers)} rows acknowledged, {refused} writes "
        "refused with 503, none lost, none doubled, none invented"
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, "kill9", run, options=[("writers", 4)]))
