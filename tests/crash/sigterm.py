#!/usr/bin/env python3
"""Stops the server with SIGTERM while clients write, again and again on one data directory.

The server must end with 0 within its shutdown timeout, or with 130 at once when a second signal
comes. After the next start everything acknowledged is there.

    tests/crash/sigterm.py target/release/influxdb3 [--rounds 20] [--seed N]
"""

import signal
import sys
import time

from harness import FLUSH_INTERVALS, Burst, Server, Violation, Writer, acknowledged, main, verify
from harness import verify_files

SHUTDOWN_SECONDS = 5
GRACE_SECONDS = 2
# How an interrupted program ends.
EXIT_INTERRUPTED = 130


def stop(server, writers, chance):
    """Returns the exit code and how long the end took."""
    twice = chance.random() < 0.3
    burst = Burst(server.port, writers, chance)
    try:
        time.sleep(chance.uniform(0.1, 0.8))
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        if twice:
            time.sleep(chance.uniform(0, 0.02))
            server.process.send_signal(signal.SIGTERM)
        codes = [0, EXIT_INTERRUPTED] if twice else [0]
        code = server.expect_exit(codes, SHUTDOWN_SECONDS + GRACE_SECONDS)
        return code, time.monotonic() - began
    finally:
        burst.ending.set()
        server.kill()
        burst.join()


def run(arguments, directory, chance):
    server = Server(arguments.binary, directory, chance)
    # A request that comes after the signal may be refused or cut off: that is no error here.
    writers = [Writer(number, tolerant=True) for number in range(4)]
    options = ["--shutdown-timeout", f"{SHUTDOWN_SECONDS}s"]
    try:
        server.start(chance.choice(FLUSH_INTERVALS), options=options)
        for number in range(1, arguments.rounds + 1):
            code, took = stop(server, writers, chance)
            server.start(chance.choice(FLUSH_INTERVALS), options=options)
            held = verify(server, writers)
            files = verify_files(server)
            print(
                f"round {number}: ended with {code} after {took:.2f} s, {held} rows and {files} "
                "files verified",
                flush=True,
            )
        server.expect_clean_log("damaged")
    finally:
        server.kill()
    if acknowledged(writers) == 0:
        raise Violation("nothing was acknowledged, so nothing was tested")
    return f"{arguments.rounds} stops, {acknowledged(writers)} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "sigterm", run, rounds=20))
