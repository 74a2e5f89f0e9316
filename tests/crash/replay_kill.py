#!/usr/bin/env python3
"""Kills the server again and again while it reads its log back.

Clients write a larger log first. Then each round kills the server up to five times in a row at
random instants of its start, lets it start, and compares everything with what the clients know.
The data directory must not grow by more than what the starts themselves are worth.

    tests/crash/replay_kill.py target/release/influxdb3 [--rounds 20] [--seed N]
"""

import sys
import time

from harness import Burst, Server, Violation, Writer, acknowledged, main, verify, verify_files

KILLS_MAX = 5
WRITERS = 6
FIRST_LOG_SECONDS = 5
BURST_SECONDS = 0.3
GROWTH_MAX = 2


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write(server, writers, chance, seconds):
    burst = Burst(server.port, writers, chance)
    time.sleep(seconds)
    burst.ending.set()
    server.kill()
    burst.join()


def run(arguments, directory, chance):
    server = Server(arguments.binary, directory, chance)
    writers = [Writer(number) for number in range(WRITERS)]
    kills = 0
    try:
        server.start("10ms")
        write(server, writers, chance, FIRST_LOG_SECONDS)
        ready = server.start("10ms")
        for number in range(1, arguments.rounds + 1):
            write(server, writers, chance, BURST_SECONDS)
            size = size_of(server.data)
            row = chance.randint(1, KILLS_MAX)
            for _ in range(row):
                server.launch("10ms")
                time.sleep(chance.uniform(0, ready))
                server.expect_alive()
                server.kill()
            kills += row
            if size_of(server.data) > GROWTH_MAX * size:
                raise Violation(f"{row} starts made {size} bytes {size_of(server.data)}")
            ready = server.start("10ms")
            held = verify(server, writers)
            files = verify_files(server)
            print(
                f"round {number}: {row} kills during the start, ready in {ready:.2f} s, "
                f"{held} rows and {files} files verified",
                flush=True,
            )
        server.expect_clean_log("damaged")
    finally:
        server.kill()
    return f"{kills} kills during replay, {acknowledged(writers)} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "replay-kill", run, rounds=20))
