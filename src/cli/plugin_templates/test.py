"""Tests of NAME, without a server: python3 -m unittest test_NAME

With one: influxdb3 plugin run-local NAME.py --database DB RUN
"""

import builtins
import unittest


class LineBuilder:
    """Stands in for the one that the server gives to plugins."""

    def __init__(self, measurement):
        self.line = {"measurement": measurement}

    def __getattr__(self, name):
        def set_value(*args):
            self.line[args[0] if len(args) > 1 else name] = args[-1]
            return self

        return set_value


class Local:
    """Stands in for `influxdb3_local`."""

    def __init__(self, answers=()):
        self.said, self.written, self.answers = [], [], list(answers)

    def info(self, *values):
        self.said.append(" ".join(map(str, values)))

    warn = error = info

    def write(self, line):
        self.written.append(line.line)

    def query(self, query, args=None, database=None, as_arrow=False):
        return self.answers.pop(0)


builtins.LineBuilder = LineBuilder

import NAME  # noqa: E402


class Test(unittest.TestCase):
CASE

if __name__ == "__main__":
    unittest.main()
