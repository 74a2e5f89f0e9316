#!/usr/bin/env python3
"""Cuts the power of a real ext4 file system while clients write, again and again.

The data directory is on a file system in an image file. At a random instant the server is killed
and, before its system calls have ended, the file system is shut down without flushing its journal,
as a power loss would: what was not synced is gone. Then the file system is mounted again, the
server restarted, and everything that it holds is compared with what the clients know. One client
makes and deletes tables, one reads, one writes rows that expire, and snapshots run all the while.

    tests/crash/power_loss.py target/release/influxdb3 [--rounds 50] [--seed N]

With `--compacting` a cut comes within milliseconds of a merged file's being stored, unless none is
for two seconds.

Needs Linux, root, mkfs.ext4 and a free loop device; says `skipped` where it has not.
"""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

from harness import FLUSH_INTERVALS, Burst, MidCompaction, Namer, Reader, Retained, Server
from harness import Skipped, Violation, Writer, acknowledged, main, verify, verify_files

IMAGE_BYTES = 256 << 20
CUT_AFTER_SECONDS = (0.05, 0.8)
FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_LOG_FLUSH = 2
# A fresh file system after so many rounds: each round reads everything.
ROUNDS_A_FILE_SYSTEM = 20
NAMES_CHECKED = 6


def must(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def unmount(folder):
    for _ in range(100):
        if subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise Violation(f"{folder} stays busy although the server was killed")


def cut_power(folder, process):
    """Ends the process and its file system at one instant, even in the middle of a sync.

    The kill comes first, for what runs in the kernel at the time of the shutdown is not to be
    believed: ext4 may report success for a sync whose data it has just dropped (about one cut in
    twenty, seen with a loop of nothing but appends and syncs). A thread that was killed cannot tell
    anybody, as it could not without power.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.kill(process.pid, signal.SIGKILL)
        fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
    finally:
        os.close(handle)


class Run:
    """A file system with a server on it, and the clients that know what was written."""

    def __init__(self, arguments, directory, chance, compaction):
        self.chance = chance
        self.compaction = compaction
        self.image = directory / "disk.img"
        self.folder = directory / "disk"
        self.folder.mkdir(exist_ok=True)
        data, compacting = self.folder / "data", arguments.compacting
        self.server = Server(
            arguments.binary, directory, chance, data=data, compacting=compacting
        )
        self.writers = [Writer(number) for number in range(4)]
        self.namer = Namer()
        self.reader = Reader(self.writers)
        self.retained = Retained()

    def make_file_system(self):
        with self.image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        must("mkfs.ext4", "-q", "-F", self.image)

    def mount(self):
        must("mount", "-o", "loop", self.image, self.folder)

    def rounds(self, numbers):
        self.make_file_system()
        self.mount()
        try:
            self.server.start(self.chance.choice(FLUSH_INTERVALS))
            self.retained.prepare(self.server)
            for number in numbers:
                before = acknowledged(self.writers)
                lasted = self.write_and_cut()
                ready = self.server.start(self.chance.choice(FLUSH_INTERVALS))
                self.retained.verify(self.server)
                held = verify(self.server, self.writers)
                files = verify_files(self.server)
                if self.compaction:
                    self.compaction.count(self.server)
                self.namer.verify(self.server, NAMES_CHECKED, self.chance)
                print(
                    f"round {number}: power cut after {lasted:.2f} s, "
                    f"{acknowledged(self.writers) - before} rows acknowledged, ready in "
                    f"{ready:.2f} s, {held} rows and {files} files verified",
                    flush=True,
                )
            self.namer.verify(self.server)
            self.server.expect_clean_log("damaged")
        except Violation:
            # The mount ends with this process's work; its content is what there is to look at.
            self.server.kill()
            shutil.copytree(self.folder, self.folder.with_name("disk-content"))
            raise
        finally:
            self.server.kill()
            unmount(self.folder)

    def write_and_cut(self):
        clients = [*self.writers, self.namer, self.reader, self.retained]
        burst = Burst(self.server.port, clients, self.chance)
        lasted = self.chance.uniform(*CUT_AFTER_SECONDS)
        time.sleep(lasted)
        if self.compaction:
            self.compaction.wait(self.server, self.chance)
        try:
            self.server.expect_alive()
        finally:
            burst.ending.set()
            cut_power(self.folder, self.server.process)
            self.server.kill()
            burst.join()
        unmount(self.folder)
        self.mount()
        return lasted


def run(arguments, directory, chance):
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise Skipped("mounting a file system needs Linux and root")
    rows = names = 0
    compaction = MidCompaction() if arguments.compacting else None
    for first in range(1, arguments.rounds + 1, ROUNDS_A_FILE_SYSTEM):
        last = min(first + ROUNDS_A_FILE_SYSTEM - 1, arguments.rounds)
        a_run = Run(arguments, directory, chance, compaction)
        a_run.rounds(range(first, last + 1))
        rows += acknowledged(a_run.writers)
        names += a_run.namer.made
    if rows == 0:
        raise Violation("nothing was acknowledged, so nothing was tested")
    merging = compaction.told() if compaction else ""
    return (
        f"{arguments.rounds} power cuts, {merging}"
        f"{rows} rows acknowledged, {names} tables made, "
        "none lost, none doubled, none invented"
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, "power-loss", run, rounds=50, compacting=True))
