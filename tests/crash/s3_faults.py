#!/usr/bin/env python3
"""Puts a bad network between the server and an S3 store, while clients write and snapshots run.

A proxy delays answers, resets connections, cuts answers off, answers 500 and 503, holds requests
for seconds, loses the answer of a request that was carried out, or is gone for a while: one of
these in a round, or all at once. The server must not end, nor take its own objects for those of
another process. Afterwards a write must succeed soon, and everything acknowledged is there: at
once, after a kill, and after a start during which the network is still bad. Each file in the
bucket is one that the index names.

    tests/crash/s3_faults.py target/release/influxdb3 [--rounds 9] [--emulators DIR] [--seed N]

The store is moto, which `deploy/test` installs in `emulators` beside the folder of the binary;
says `skipped` without it.
"""

import http.client
import http.server
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import SETTLE_SECONDS_MAX, Burst, Reader, Server, Skipped, Violation, Writer
from harness import acknowledged, folders, main, verify

EMULATOR = Path(__file__).parent.parent / "it" / "stores" / "emulator.py"
BURST_SECONDS = (2.0, 4.0)
BACK_SECONDS_MAX = 15
HELD_SECONDS = (1.0, 6.0)
# What goes wrong, and with how many of the calls.
TOXINS = {
    "late": {"late": 0.5},
    "reset": {"reset": 0.3},
    "status": {"status": 0.4},
    "most": {"status": 0.3, "reset": 0.3},
    "lost": {"lost": 0.3},
    "told-wrong": {"told-wrong": 0.3},
    "cut": {"cut": 0.3},
    "held": {"held": 0.1},
    "gone": {"gone": 1.0},
    "all": {n: 0.05 for n in ("late", "reset", "status", "lost", "told-wrong", "cut", "held")},
}
HOP = {"connection", "keep-alive", "transfer-encoding"}


class Proxy(http.server.ThreadingHTTPServer):
    """Hands calls on to the store, as far as its toxins let it."""

    daemon_threads = True

    def __init__(self, upstream, chance):
        super().__init__(("127.0.0.1", 0), Call)
        self.upstream = upstream
        self.chance = random.Random(chance.random())
        self.toxins = {}
        self.calls = self.hurt = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def draw(self):
        """What happens to the next call, if anything."""
        self.calls += 1
        at = self.chance.random()
        for toxin, part in self.toxins.items():
            at -= part
            if at < 0:
                self.hurt += 1
                return toxin
        return None

    def handle_error(self, request, client_address):
        """A server that is killed leaves broken connections behind: nothing to tell of."""


class Call(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_call(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        toxin = self.server.draw()
        if toxin in ("reset", "gone"):
            return self.reset()
        if toxin == "status":
            return self.answer(self.server.chance.choice([500, 503]), [], b"")
        if toxin == "held" and self.server.chance.random() < 0.5:
            # Before it is carried out; the client may be gone by then.
            time.sleep(self.server.chance.uniform(*HELD_SECONDS))
        if toxin == "late":
            time.sleep(self.server.chance.uniform(0, 1))
        status, headers, content = self.carry_out(body)
        if toxin == "held":
            time.sleep(self.server.chance.uniform(*HELD_SECONDS))
        if toxin == "lost":
            return self.reset()
        if toxin == "told-wrong":
            return self.answer(500, [], b"")
        if toxin == "cut" and content:
            self.answer(status, headers, content, len(content) // 2)
            return self.reset()
        return self.answer(status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_call

    def carry_out(self, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            response = upstream.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            upstream.close()

    def answer(self, status, headers, content, through=None):
        self.send_response_only(status)
        is_head = self.command == "HEAD"
        for name, value in headers:
            if name.lower() not in HOP and (is_head or name.lower() != "content-length"):
                self.send_header(name, value)
        if not is_head:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not is_head:
            self.wfile.write(content[:through])

    def reset(self):
        """The connection ends without a goodbye."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_):
        pass


class Store:
    """The program that plays S3."""

    def __init__(self, emulators):
        python = emulators / "python" / "bin" / "python"
        if not python.exists():
            raise Skipped(f"there is no {python}: run deploy/test once")
        self.process = subprocess.Popen(
            [python, EMULATOR, "s3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        port, self.account, self.secret = self.process.stdout.readline().split()
        self.port = int(port)

    def ask(self, command):
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Round:
    """One server on a bucket of its own."""

    def __init__(self, arguments, directory, store, number, chance):
        self.chance = chance
        self.store = store
        self.bucket = f"round-{number}"
        store.ask(f"bucket {self.bucket}")
        self.proxy = Proxy(store.port, chance)
        self.directory = directory / self.bucket
        self.directory.mkdir()
        options = ["--object-store", "s3", "--bucket", self.bucket, "--aws-allow-http"]
        options += ["--aws-endpoint", f"http://127.0.0.1:{self.proxy.server_port}"]
        options += ["--aws-access-key-id", store.account]
        options += ["--aws-secret-access-key", store.secret]
        options += ["--object-store-request-timeout", chance.choice(["1s", "3s"])]
        options += ["--object-store-retry-timeout", chance.choice(["2s", "10s"])]
        self.server = Server(arguments.binary, self.directory, chance, store=options)
        self.writers = [Writer(number, tolerant=True) for number in range(4)]

    def run(self, toxin):
        interval = self.chance.choice(["50ms", "100ms", "250ms"])
        try:
            self.server.start(interval)
            self.burst(0.5)
            self.proxy.toxins = TOXINS[toxin]
            calls, hurt = self.proxy.calls, self.proxy.hurt
            self.burst(self.chance.uniform(*BURST_SECONDS))
            calls, hurt = self.proxy.calls - calls, self.proxy.hurt - hurt
            self.proxy.toxins = {}
            back = self.write_until_accepted()
            self.burst(0.5)
            verify(self.server, self.writers)
            self.server.kill()
            self.start_in_bad_weather(interval, toxin)
            held = verify(self.server, self.writers)
            files = self.verify_bucket()
            self.server.expect_clean_log("damaged", "another process")
        finally:
            self.server.kill()
            self.proxy.shutdown()
            self.proxy.server_close()
        return calls, hurt, back, held, files

    def burst(self, seconds):
        burst = Burst(self.server.port, [*self.writers, Reader(self.writers, True)], self.chance)
        try:
            time.sleep(seconds)
            self.server.expect_alive()
        finally:
            burst.ending.set()
            if self.server.process.poll() is not None:
                self.server.kill()
            burst.join()
        self.server.expect_alive()

    def write_until_accepted(self):
        began = time.monotonic()
        while self.server.write("crash", ["back,w=x n=1i 1"]) != 204:
            if time.monotonic() - began > BACK_SECONDS_MAX:
                raise Violation(f"no write succeeded in {BACK_SECONDS_MAX} s after the last fault")
            time.sleep(0.05)
        return time.monotonic() - began

    def start_in_bad_weather(self, interval, toxin):
        """A start may fail then, but does no harm."""
        self.proxy.toxins = TOXINS[toxin]
        self.server.launch(interval)
        until = time.monotonic() + 5
        while time.monotonic() < until and self.server.process.poll() is None:
            if self.server.healthy():
                break
            time.sleep(0.02)
        self.proxy.toxins = {}
        if self.server.process.poll() is None and self.chance.random() < 0.5:
            self.server.kill()
            self.server.launch(interval)
        # A call that is still held may yet end the start.
        while self.server.process.poll() is None and not self.server.healthy():
            time.sleep(0.02)
        if self.server.process.poll() is not None:
            self.server.expect_exit([1], 0)
            self.server.launch(interval)
        self.server.wait_ready()

    def verify_bucket(self):
        """See `verify_files`."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        sql = "SELECT path FROM system.parquet_files WHERE table_name = 'm'"
        while True:
            listed = {row["path"] for row in self.server.query(sql) or []}
            stored = set()
            for folder in folders(listed):
                stored |= set(self.store.ask(f"keys {self.bucket} {folder}/").split())
            if stored == listed:
                return len(listed)
            if time.monotonic() > deadline:
                unknown, missing = sorted(stored - listed)[:5], sorted(listed - stored)[:5]
                raise Violation(f"objects are missing: {missing}; nobody knows of: {unknown}")
            time.sleep(0.1)


def run(arguments, directory, chance):
    emulators = Path(arguments.emulators)
    if not arguments.emulators:
        emulators = Path(arguments.binary).resolve().parent.parent / "emulators"
    store = Store(emulators)
    rows = hurt_calls = 0
    try:
        for number in range(1, arguments.rounds + 1):
            toxin = list(TOXINS)[(number - 1) % len(TOXINS)]
            a_round = Round(arguments, directory, store, number, chance)
            try:
                calls, hurt, back, held, files = a_round.run(toxin)
            except Violation as violation:
                raise Violation(f"{toxin}: {violation}") from None
            rows += acknowledged(a_round.writers)
            hurt_calls += hurt
            refused = sum(writer.refused for writer in a_round.writers)
            print(
                f"round {number}: {toxin}, {hurt} of {calls} calls, {refused} writes refused, the "
                f"next one succeeded after {back:.2f} s, {held} rows and {files} files verified",
                flush=True,
            )
    finally:
        store.end()
    return f"{hurt_calls} calls went wrong, {rows} rows acknowledged, none lost"


if __name__ == "__main__":
    sys.exit(main(__doc__, "s3-faults", run, rounds=10, options=[("emulators", "")]))
