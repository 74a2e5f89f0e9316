"""Uses influx, the command line of version 1, as people do: `influx.py PROGRAM HOST PORT FOLDER`."""

import json
import os
import pty
import select
import subprocess
import sys
import time

program, host, port, folder = sys.argv[1:5]
server = [program, "-host", host, "-port", port]


def ran(*arguments, fails=False):
    """What a command says."""
    done = subprocess.run([*server, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == fails, (arguments, done)
    return done.stdout + done.stderr


# An export of version 1, as it is.
export = os.path.join(folder, "export.txt")
with open(export, "w") as file:
    file.write(
        "# DDL\nCREATE DATABASE kept\n"
        "# DML\n# CONTEXT-DATABASE: kept\n# CONTEXT-RETENTION-POLICY: autogen\n"
        'cpu,host=a v=1 1600000000\ncpu,host=b v=2.5,t="x y" 1600000010\n'
    )
told = ran("-import", "-path", export, "-precision", "s")
assert "Processed 1 commands" in told and "Processed 2 inserts" in told, told
assert "Failed 0 inserts" in told, told

# One statement and away, in each format and unit of time.
kept = ("-database", "kept")
told = ran(*kept, "-precision", "rfc3339", "-execute", "SELECT * FROM cpu")
assert told.splitlines()[3].split() == ["2020-09-13T12:26:40Z", "a", "1"], told
told = ran(*kept, "-precision", "s", "-format", "csv", "-execute", "SELECT * FROM cpu")
assert told == "name,time,host,t,v\ncpu,1600000000,a,,1\ncpu,1600000010,b,x y,2.5\n", told
told = ran(*kept, "-format", "json", "-execute", "SELECT mean(v) FROM cpu GROUP BY host")
means = [part["series"][0] for part in json.loads(told)["results"]]
assert [(s["tags"]["host"], s["values"][0][1]) for s in means] == [("a", 1), ("b", 2.5)], told
told = ran(*kept, "-execute", "SELECT nope(", fails=True)
assert "ERR: " in told and "parsing error" in told, told


class Shell:
    """The program at a terminal."""

    def __init__(self):
        process, self.terminal = pty.fork()
        if process == 0:
            environment = {**os.environ, "HOME": folder, "TERM": "dumb"}
            os.execve(program, server, environment)
        self.process = process
        self.until("> ")

    def until(self, end):
        text, deadline = "", time.monotonic() + 60
        while not text.replace("\x1b[0K", "").rstrip("\r").endswith(end):
            assert time.monotonic() < deadline, text
            if select.select([self.terminal], [], [], 1)[0]:
                text += os.read(self.terminal, 65536).decode()
        return text

    def say(self, line):
        """What is answered to a line."""
        os.write(self.terminal, (line + "\n").encode())
        # The line itself comes back first.
        return self.until("\r\n> ") if line != "exit" else ""


shell = Shell()
for line, expected in [
    ("CREATE DATABASE shell", ""),
    ("USE shell", "Using database shell"),
    ("INSERT home,room=bath t=20.5 1600000000000000000", ""),
    ("precision rfc3339", ""),
    ("SELECT * FROM home", "2020-09-13T12:26:40Z bath 20.5"),
    ("SHOW MEASUREMENTS", "home"),
    ("SHOW FIELD KEYS", "float"),
    ("SHOW RETENTION POLICIES", "duration"),
    ("SHOW SERIES", "home,room=bath"),
    ("SELECT FROM home", "ERR: "),
    ("INSERT home t=x", "ERR: "),
    ("SELECT last(t) FROM home GROUP BY room", "tags: room=bath"),
]:
    told = shell.say(line)
    assert expected in told, (line, told)
shell.say("exit")
print("passed")
