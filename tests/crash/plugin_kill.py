#!/usr/bin/env python3
"""Kills the process that runs plugins with SIGKILL while clients write and triggers run.

The database must not notice: every acknowledged row is there, once. Nor may a trigger be stuck
afterwards: requests are answered again, schedules go on, and rows that are written when all is calm
reach the trigger that waits for them.

    tests/crash/plugin_kill.py target/release/influxdb3 [--rounds 100] [--kills 5] [--seed N]

Each round is a server of its own that loses its process so many times. Prints one line a round and
a closing line; exits with 1 at the first violation and keeps the data directory then.
"""

import os
import shutil
import signal
import sys
import time
from json import dumps

from harness import FLUSH_INTERVALS, SETTLE_SECONDS_MAX, Burst, Server, Violation, Writer
from harness import acknowledged, main, verify

DATABASE = "plugins"
KILL_AFTER_SECONDS = (0.0, 0.3)
# A process that does not live long is started again later each time.
BACK_SECONDS_MAX = 60

PLUGINS = {
    "copies.py": """
def process_writes(local, batches, args=None):
    for batch in batches:
        for row in batch["rows"]:
            local.write(LineBuilder("out").int64_field("n", row["n"]).time_ns(row["time"]))
""",
    "busy.py": """
import time
def process_writes(local, batches, args=None):
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        local.query("SELECT 1")
""",
    "ticks.py": """
def process_scheduled_call(local, at, args=None):
    local.write_sync(LineBuilder("ticks").int64_field("n", 1), False)
""",
    "where.py": """
import os
def process_request(local, query, headers, body, args=None):
    return str(os.getpid())
""",
}
TRIGGERS = [
    ("copies", "copies.py", DATABASE, "table:in"),
    ("busy", "busy.py", "crash", "all_tables"),
    ("ticks", "ticks.py", DATABASE, "every:1s"),
    ("where", "where.py", DATABASE, "request:where"),
]


def eventually(what, ask, seconds=SETTLE_SECONDS_MAX):
    until = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None:
            return answer
        if time.monotonic() > until:
            raise Violation(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def count(server, table):
    rows = server.query(f"SELECT count(*) AS n FROM {table}", DATABASE)
    return rows[0]["n"] if rows else 0


class Round:
    def __init__(self, arguments, directory, chance):
        directory.mkdir()
        plugins = directory / "plugins"
        plugins.mkdir()
        for name, text in PLUGINS.items():
            (plugins / name).write_text(text)
        self.directory, self.chance, self.kills = directory, chance, arguments.kills
        self.server = Server(arguments.binary, directory, chance)
        self.options = ["--plugin-dir", plugins]
        self.writers = [Writer(number, tolerant=True) for number in range(2)]

    def run(self):
        try:
            self.server.start(self.chance.choice(FLUSH_INTERVALS), options=self.options)
            self.prepare()
            burst = Burst(self.server.port, self.writers, self.chance)
            try:
                for _ in range(self.kills):
                    self.kill_host()
            finally:
                burst.ending.set()
                burst.join()
            self.check()
        finally:
            self.server.kill()
        shutil.rmtree(self.directory)

    def prepare(self):
        for database in (DATABASE, "crash"):
            if self.server.write(database, ["first n=0i 1"]) != 204:
                raise Violation("the first row was refused")
        for name, file, database, spec in TRIGGERS:
            body = {
                "db": database,
                "plugin_filename": file,
                "trigger_name": name,
                "trigger_specification": spec,
            }
            path = "/api/v3/configure/processing_engine_trigger"
            status, answer = self.server.send("POST", path, dumps(body))
            if status != 200:
                raise Violation(f"trigger {name} was answered {status}: {answer!r}")

    def host(self):
        status, body = self.server.get("/api/v3/engine/where")
        return int(body) if status == 200 else None

    def kill_host(self):
        pid = eventually("the process of plugins runs", self.host, BACK_SECONDS_MAX)
        time.sleep(self.chance.uniform(*KILL_AFTER_SECONDS))
        os.kill(pid, signal.SIGKILL)
        self.server.expect_alive()
        if not self.server.healthy():
            raise Violation("the server is not healthy without its plugins")

    def check(self):
        """Every trigger gets on, and every acknowledged row is there."""
        eventually("the process of plugins is back", self.host, BACK_SECONDS_MAX)
        copied = count(self.server, "out")
        for n in range(3):
            time_ns = time.time_ns()
            if self.server.write(DATABASE, [f"in n={n}i {time_ns}"]) != 204:
                raise Violation("a row was refused")
            copied += 1
            eventually(
                f"row {n} reaches its trigger",
                lambda: True if count(self.server, "out") >= copied else None,
            )
        ticks = count(self.server, "ticks")
        eventually(
            "the schedule goes on",
            lambda: True if count(self.server, "ticks") > ticks else None,
        )
        verify(self.server, self.writers)
        self.server.expect_clean_log("damaged")


def run(arguments, directory, chance):
    rows = 0
    for number in range(1, arguments.rounds + 1):
        began = time.monotonic()
        a_round = Round(arguments, directory / f"round{number}", chance)
        a_round.run()
        rows += acknowledged(a_round.writers)
        print(
            f"round {number}: {arguments.kills} kills in {time.monotonic() - began:.1f} s, "
            f"{acknowledged(a_round.writers)} rows acknowledged",
            flush=True,
        )
    if rows == 0:
        raise Violation("no rows: nothing was tested")
    arguments.cycles = arguments.rounds * arguments.kills
    return (
        f"{arguments.cycles} kills of the process of plugins, {rows} rows acknowledged, none lost, "
        "no trigger stuck"
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, "plugin-kill", run, options=[("kills", 5)]))
