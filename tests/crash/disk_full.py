#!/usr/bin/env python3
"""Fills the disk under the server, and frees it again, without a restart.

The data directory is on a small tmpfs. A large file takes the space that is left; writes must then
be refused or wait, snapshots wait, and queries be answered. When the file is gone, writes must
succeed again by themselves. In the end, after a restart, everything acknowledged is there and nothing is damaged.

    tests/crash/disk_full.py target/release/influxdb3 [--rounds 4] [--seed N]

Needs Linux and root, to mount the tmpfs; says `skipped` without.
"""

import os
import subprocess
import sys
import time

from harness import Burst, Reader, Server, Skipped, Violation, Writer, acknowledged, main
from harness import verify, verify_files

DISK_BYTES = 48 << 20
# The server tries a failed write again for 10 s before it refuses: some rounds are shorter.
FULL_SECONDS = (0.5, 14)
BACK_SECONDS_MAX = 10
CHUNK = bytes(1 << 12)


def fill(path):
    """Takes all space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(CHUNK)
        except OSError:
            pass


def write_until_accepted(server):
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while server.write("crash", ["back,w=x n=1i 1"]) != 204:
        if time.monotonic() > deadline:
            raise Violation(f"no write succeeded in {BACK_SECONDS_MAX} s after space was free")
        time.sleep(0.05)


def one_round(server, writers, chance, filler):
    """Returns how long the disk was full, and how long the first write took to succeed then."""
    burst = Burst(server.port, [*writers, Reader(writers, tolerant=True)], chance)
    try:
        time.sleep(0.3)
        fill(filler)
        full = chance.choice(FULL_SECONDS)
        until = time.monotonic() + full
        while time.monotonic() < until:
            # What was acknowledged is served all the time.
            server.expect_alive()
            server.query("SELECT count(*) AS c FROM m")
            time.sleep(0.1)
        filler.unlink()
        freed = time.monotonic()
        write_until_accepted(server)
        back = time.monotonic() - freed
        time.sleep(0.2)
    finally:
        burst.ending.set()
        if filler.exists():
            filler.unlink()
    burst.join()
    return full, back


def run(arguments, directory, chance):
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise Skipped("mounting a tmpfs needs Linux and root")
    disk = directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise Skipped(f"no tmpfs: {mounted.stderr.strip()}")
    server = Server(arguments.binary, directory, chance, data=disk / "data")
    writers = [Writer(number, tolerant=True) for number in range(4)]
    try:
        server.start("100ms")
        for number in range(1, arguments.rounds + 1):
            refused = sum(writer.refused for writer in writers)
            full, back = one_round(server, writers, chance, disk / "filler")
            held = verify(server, writers)
            verify_files(server)
            if chance.random() < 0.5:
                server.kill()
                server.start("100ms")
                held = verify(server, writers)
                verify_files(server)
            refused = sum(writer.refused for writer in writers) - refused
            print(
                f"round {number}: full for {full} s, {refused} writes refused, the next one "
                f"succeeded after {back:.2f} s, {held} rows verified",
                flush=True,
            )
        server.kill()
        server.start("1s")
        verify(server, writers)
        server.expect_clean_log("damaged")
    finally:
        server.kill()
        subprocess.run(["umount", disk], check=False)
    statuses = sorted({status for writer in writers for status in writer.refusals})
    return (
        f"{arguments.rounds} times a full disk, {acknowledged(writers)} rows acknowledged, "
        f"refusals with {statuses}, none lost"
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, "disk-full", run, rounds=4))
