"""What plugins see, and how they are run. The module around it speaks to the server."""

import builtins
import collections
import datetime
import glob
import importlib
import importlib.util
import json
import math
import os
import re
import site
import sys
import threading
import time

try:
    import ctypes
except ImportError:  # then nothing but the end of this process ends a run
    ctypes = None

INFO, WARN, ERROR = 0, 1, 2
LEVELS = ("INFO", "WARN", "ERROR")

STOPPED = "influxdb3 is shutting down; aborting plugin execution"
INTERNAL = "_internal"

# Set by start().
native = None
config = {}

here = threading.local()
lock = threading.Lock()
running = {}


class InfluxDBError(Exception):
    """What all errors of the database have in common."""


class QueryError(InfluxDBError):
    """A query failed."""


class InvalidMeasurementError(InfluxDBError):
    """A line cannot have that measurement."""


class InvalidKeyError(InfluxDBError):
    """A tag or field cannot have that key."""


class InvalidLineError(InfluxDBError):
    """A line cannot be built."""


# Raised in the thread of a run that is to end.
Stopped = type("KeyboardInterrupt", (KeyboardInterrupt,), {
    "__init__": lambda self: KeyboardInterrupt.__init__(self, STOPPED),
    "__module__": "builtins",
})


class LineBuilder:
    """Builds a line of line protocol. Tags and fields keep the order in which they are set."""

    def __init__(self, measurement):
        measurement = str(measurement)
        if not measurement:
            raise InvalidMeasurementError("Measurement name cannot be empty")
        if " " in measurement:
            raise InvalidMeasurementError("Measurement name cannot contain spaces")
        self.measurement = measurement
        self.tags = {}
        self.fields = {}
        self._timestamp_ns = None

    @staticmethod
    def _checked(kind, key):
        key = str(key)
        if not key:
            raise InvalidKeyError(f"{kind} key cannot be empty")
        for character, name in ((" ", "spaces"), (",", "commas"), ("=", "equals signs")):
            if character in key:
                raise InvalidKeyError(f"{kind} key '{key}' cannot contain {name}")
        if "\n" in key:
            raise InvalidKeyError(f"{kind} key '{key}' cannot contain newlines")
        return key

    def _field(self, key, text):
        self.fields[self._checked("field", key)] = text
        return self

    def tag(self, key, value):
        self.tags[self._checked("tag", key)] = str(value)
        return self

    def int64_field(self, key, value):
        return self._field(key, f"{int(value)}i")

    def uint64_field(self, key, value):
        self._checked("field", key)
        if value < 0:
            raise ValueError(f"uint64 field '{key}' cannot be negative")
        return self._field(key, f"{int(value)}u")

    def float64_field(self, key, value):
        self._checked("field", key)
        value = float(value)
        if not math.isfinite(value):
            raise ValueError(f"float64 field '{key}' cannot be {value}")
        return self._field(key, repr(value))

    def string_field(self, key, value):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return self._field(key, f'"{text}"')

    def bool_field(self, key, value):
        return self._field(key, "t" if value else "f")

    def time_ns(self, timestamp_ns):
        self._timestamp_ns = int(timestamp_ns)
        return self

    @staticmethod
    def _escaped(text, characters):
        if "\n" in text:
            raise InvalidLineError(f"A newline cannot be part of {text!r}")
        for character in characters:
            text = text.replace(character, "\\" + character)
        return text

    def build(self):
        line = self._escaped(self.measurement, ", ")
        for key, value in self.tags.items():
            line += f",{key}={self._escaped(value, chr(92) + ',= ')}"
        if not self.fields:
            raise InvalidLineError(f"At least one field is required: {line}")
        line += " " + ",".join(f"{key}={text}" for key, text in self.fields.items())
        if self._timestamp_ns is not None:
            line += f" {self._timestamp_ns}"
        return line


class Namespace:
    """Values by key, some of them for a time."""

    def __init__(self, default_ttl=None):
        self.default_ttl = default_ttl
        self.lock = threading.Lock()
        self.entries = {}
        self.swept = time.monotonic()

    def put(self, key, value, ttl):
        ttl = self.default_ttl if ttl is None else ttl
        now = time.monotonic()
        with self.lock:
            if now - self.swept > 10:
                self.swept = now
                over = [k for k, (_, end) in self.entries.items() if end is not None and end <= now]
                for k in over:
                    del self.entries[k]
            self.entries[key] = (value, None if ttl is None else now + ttl)

    def get(self, key, default):
        with self.lock:
            value, end = self.entries.get(key, (default, None))
        return default if end is not None and end <= time.monotonic() else value

    def delete(self, key):
        with self.lock:
            _, end = self.entries.pop(key, (None, 0))
        return end is None or end > time.monotonic()


TEST_TTL = 30 * 60
shared = Namespace()
of_triggers = collections.defaultdict(Namespace)
of_tests = collections.defaultdict(lambda: (Namespace(TEST_TTL), Namespace(TEST_TTL)))


class Cache:
    """What the runs of a trigger keep, and what all triggers share."""

    __slots__ = ("_local", "_global")

    def __init__(self, local, common):
        self._local, self._global = local, common

    def _of(self, use_global):
        return self._global if use_global else self._local

    def put(self, key, value, ttl=None, use_global=None):
        if ttl is not None:
            ttl = float(ttl)
            if math.isnan(ttl) or ttl < 0:
                raise ValueError("ttl must be a number of seconds that is not negative")
        self._of(use_global).put(key, value, ttl)

    def get(self, key, default=None, use_global=None):
        return self._of(use_global).get(key, default)

    def delete(self, key, use_global=None):
        return self._of(use_global).delete(key)


class Trigger:
    """The trigger whose plugin runs."""

    __slots__ = ("name", "database", "run_number", "node")

    def __init__(self, job):
        self.name, self.database = job["name"], job["database"]
        self.run_number, self.node = job["number"], job["node"]

    def __repr__(self):
        return f"Trigger(name={self.name!r}, database={self.database!r})"


def to_arrow(streams):
    """Rows as a table of pyarrow, whose columns are the bytes that came from the server."""
    import pyarrow

    # Each buffer keeps the stream that its bytes are of.
    buffers = [pyarrow.foreign_buffer(*stream.place(), stream) for stream in streams]
    tables = [pyarrow.ipc.open_stream(buffer).read_all() for buffer in buffers]
    if len(tables) == 1:
        return tables[0]
    try:
        return pyarrow.concat_tables(tables, promote_options="default")
    except TypeError:  # pyarrow before 14
        return pyarrow.concat_tables(tables, promote=True)


class TableBatch(dict):
    """Rows of one table: `{"table_name": …, "rows": […]}`, whose rows are made when somebody looks,
    or a table of another library."""

    __slots__ = ("_streams", "_is_pending")

    def __init__(self, name, streams):
        super().__init__(table_name=name)
        self._streams, self._is_pending = streams, True

    def _fill(self):
        if self._is_pending:
            self._is_pending = False
            rows = []
            for stream in self._streams:
                stream.append_to(rows)
            self.setdefault("rows", rows)

    def __missing__(self, key):
        if not self._is_pending:
            raise KeyError(key)
        self._fill()
        return self[key]

    def arrow(self):
        """The rows as a `pyarrow.Table`."""
        return to_arrow(self._streams)

    def pandas(self):
        """The rows as a `pandas.DataFrame`."""
        return self.arrow().to_pandas()

    def polars(self):
        """The rows as a `polars.DataFrame`."""
        import polars

        return polars.from_arrow(self.arrow())


def filled(name):
    plain = getattr(dict, name)

    def method(self, *args, **kwargs):
        self._fill()
        return plain(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in ("get", "keys", "values", "items", "copy", "pop", "popitem", "update", "__iter__",
              "__len__", "__contains__", "__delitem__", "__reversed__", "__eq__", "__ne__",
              "__repr__", "__or__", "__ror__", "__ior__"):
    if hasattr(dict, _name):
        setattr(TableBatch, _name, filled(_name))


METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
LABELS_OF_THE_SERVER = ("db", "trigger")


class State:
    """A run under way."""

    def __init__(self, job):
        self.run = job["run"]
        self.trigger = Trigger(job)
        self.database = job["database"]
        self.is_test = job["test"] is not None
        self.writes = {}
        self.synchronous = []
        self.lines = 0
        self.counts = {}
        self.log_lines = []
        self.stop = threading.Event()
        self.thread = threading.get_ident()
        if self.is_test:
            self.cache = Cache(*of_tests[job["test"] or "_shared_test"])
        else:
            self.cache = Cache(of_triggers[job["trigger"]], shared)

    def log(self, level, text):
        if self.is_test:
            self.log_lines.append(f"{LEVELS[level]}: {text}")
        else:
            native.log(self.run, level, text)

    def all_writes(self):
        """Databases and lines: a test tells apart what is written, else each database is one."""
        if self.is_test:
            return self.synchronous + [(db, line) for db, of in self.writes.items() for line in of]
        return [(db, "\n".join(lines)) for db, lines in self.writes.items()]


def line_of(line):
    text = line.build()
    if not isinstance(text, str):
        raise TypeError("build() must return a str")
    return text


def checked_database(name):
    if not isinstance(name, str):
        raise TypeError("the name of a database is a str")
    if name == INTERNAL:
        raise InfluxDBError(f"Cannot write: {INTERNAL} is the database of the server itself")
    return name


class Local:
    """The database, as a plugin sees it."""

    __slots__ = ("_state",)

    def __init__(self, state):
        self._state = state

    def info(self, *values):
        self._state.log(INFO, " ".join(str(value) for value in values))

    def warn(self, *values):
        self._state.log(WARN, " ".join(str(value) for value in values))

    def error(self, *values):
        self._state.log(ERROR, " ".join(str(value) for value in values))

    def query(self, query, args=None, database=None, as_arrow=False):
        parameters = {} if args is None else dict(args)
        for key, value in parameters.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError("names and values of query parameters must be str")
        state = self._state
        database = state.database if database is None else database
        try:
            stream = native.query(state.run, database, query, parameters)
        except RuntimeError as error:
            raise QueryError(str(error)) from None
        return to_arrow([stream]) if as_arrow else stream.rows()

    def write(self, line):
        self.write_to_db(self._state.database, line)

    def write_to_db(self, db_name, line):
        text = line_of(line)
        self._state.writes.setdefault(checked_database(db_name), []).append(text)
        self._state.lines += 1

    def write_sync(self, line, no_sync):
        self.write_sync_to_db(self._state.database, line, no_sync)

    def write_sync_to_db(self, db_name, line, no_sync):
        text = line_of(line)
        state, db_name = self._state, checked_database(db_name)
        if state.is_test:
            state.synchronous.append((db_name, text))
            return
        try:
            native.write(state.run, db_name, text, bool(no_sync))
        except RuntimeError as error:
            raise InfluxDBError(str(error)) from None
        state.lines += 1

    def counter(self, name, value=1, **labels):
        for key in (name, *labels):
            if not isinstance(key, str) or not METRIC_NAME.match(key):
                raise ValueError(f"{key!r} is not a name for metrics: letters, digits and _")
        for key in labels:
            if key in LABELS_OF_THE_SERVER or key.startswith("__"):
                raise ValueError(f"the label {key!r} is the server's own")
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ValueError(f"a counter counts up by whole numbers, not by {value!r}")
        key = (name, tuple(sorted((label, str(text)) for label, text in labels.items())))
        counts = self._state.counts
        counts[key] = min(counts.get(key, 0) + value, 2**63 - 1)

    @property
    def trigger(self):
        return self._state.trigger

    @property
    def cache(self):
        return self._state.cache


class Output:
    """What plugins print, line by line, goes to their log."""

    def __init__(self, stream, level):
        self.stream, self.level = stream, level

    def write(self, text):
        state = getattr(here, "state", None)
        if state is None:
            return self.stream.write(text)
        pending = getattr(here, "pending", None)
        if pending is None:
            pending = here.pending = {}
        *lines, rest = (pending.get(self.level, "") + text).split("\n")
        if len(rest) > 65536:
            lines.append(rest)
            rest = ""
        pending[self.level] = rest
        for line in lines:
            state.log(self.level, line)
        return len(text)

    def flush(self):
        if getattr(here, "state", None) is None:
            self.stream.flush()

    def __getattr__(self, name):
        return getattr(self.stream, name)


def end_output(state):
    for level, rest in (getattr(here, "pending", None) or {}).items():
        if rest:
            state.log(level, rest)
    here.pending = None


real_sleep = time.sleep


def sleep(seconds):
    """time.sleep(), which an interrupt of the run ends."""
    state = getattr(here, "state", None)
    is_plain = type(seconds) in (int, float) and 0 < seconds < threading.TIMEOUT_MAX
    if state is None or not is_plain:
        return real_sleep(seconds)
    if state.stop.wait(seconds):
        raise Stopped()


def set_exception(thread, exception):
    if ctypes is not None:
        target = None if exception is None else ctypes.py_object(exception)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)


def interrupt(run):
    with lock:
        state = running.get(run)
        if state is not None and not state.stop.is_set():
            state.stop.set()
            set_exception(state.thread, Stopped)


def forget(trigger):
    with lock:
        of_triggers.pop(trigger, None)
        codes.pop(trigger, None)
        package = packages.pop(trigger, None)
    if package is not None:
        remove_modules(package[1].__name__)


codes = {}
packages = {}
import_lock = threading.RLock()

ENTRIES = {
    "writes": ("process_writes", "(influxdb3_local, table_batches, args=None)"),
    "schedule": ("process_scheduled_call", "(influxdb3_local, call_time, args=None)"),
    "request": (
        "process_request",
        "(influxdb3_local, query_parameters, request_headers, request_body, args=None)"
        " -> Tuple[str, Optional[Dict[str, str]]]",
    ),
    "snapshot": ("process_snapshot", "(influxdb3_local, snapshot, args=None)"),
}


class LoadError(Exception):
    """A plugin has no function to call; the text is the whole message."""


def see_environment():
    """Packages that were installed since the last look are found from now on."""
    if config.get("venv"):
        for path in glob.glob(os.path.join(config["venv"], "lib", "python*", "site-packages")):
            if path not in sys.path:
                site.addsitedir(path)
    importlib.invalidate_caches()


def remove_modules(name):
    for module in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
        del sys.modules[module]


def import_package(path, name):
    """Imports a directory under a name of its own. While it is imported, its plain name means it."""
    plain, parent = os.path.basename(path), os.path.dirname(path)
    is_of_it = lambda module: module == plain or module.startswith(plain + ".")
    with import_lock:
        remove_modules(name)
        see_environment()
        hidden = {m: sys.modules.pop(m) for m in list(sys.modules) if is_of_it(m)}
        sys.path.insert(0, parent)
        try:
            spec = importlib.util.spec_from_file_location(
                name, os.path.join(path, "__init__.py"), submodule_search_locations=[path]
            )
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = sys.modules[plain] = module
            spec.loader.exec_module(module)
            return module
        except BaseException as error:
            remove_modules(name)
            if isinstance(error, Stopped):
                raise
            raise LoadError(
                f"Failed to import plugin module '{plain}': {described(error)}\n"
                "Hint: Check for syntax errors or missing dependencies in Python files."
            ) from None
        finally:
            sys.path.remove(parent)
            for module in [m for m in sys.modules if is_of_it(m)]:
                del sys.modules[module]
            sys.modules.update(hidden)


def function_of(job, entry):
    """The function that a run calls."""
    name, form = ENTRIES[entry]
    trigger, version = job["trigger"], job["version"]
    if job["directory"] is not None:
        path = job["directory"]
        with import_lock:
            known = packages.get(trigger)
            if known is None or known[0] != version:
                module_name = f"_influxdb3_{trigger}_{os.path.basename(path)}"
                packages.pop(trigger, None)
                known = packages[trigger] = (version, import_package(path, module_name))
        found = getattr(known[1], name, None)
    else:
        known = codes.get(trigger)
        if known is None or known[0] != version:
            see_environment()
            known = codes[trigger] = (version, compile(job["text"], "<string>", "exec"))
        space = {"__name__": "influxdb3_plugin", "__builtins__": builtins}
        exec(known[1], space)
        found = space.get(name)
    if found is None:
        raise LoadError(
            f"the {name} function is not present in the plugin. Should be defined as: {name}{form}"
        )
    return found


def described(error):
    return f"{type(error).__name__}: {error}"


def humanised(ns):
    parts = []
    for length, unit in ((60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"),
                         (1_000, "us"), (1, "ns")):
        count, ns = divmod(ns, length)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def run(job):
    """Runs a plugin. Returns what went wrong, the writes, the log of a test, a response, how many
    lines were written, and what was counted."""
    state = State(job)
    error = response = None
    with lock:
        running[state.run] = state
    here.state = state
    try:
        try:
            response = call(state, job)
        finally:
            end_output(state)
    except LoadError as failure:
        error = str(failure)
    except BaseException as failure:
        try:
            error = described(failure)
        except BaseException:
            error = type(failure).__name__
    finally:
        here.state = None
        with lock:
            running.pop(state.run, None)
            if state.stop.is_set():
                set_exception(state.thread, None)
    writes = [] if error is not None else state.all_writes()
    counts = [(name, dict(labels), value) for (name, labels), value in state.counts.items()]
    return error, writes, state.log_lines, response, state.lines, counts


def call(state, job):
    entry, arguments = job["entry"], job["arguments"] or None
    local = Local(state)
    if entry == "schedule":
        at = datetime.datetime.fromtimestamp(job["at"])
        in_utc = datetime.datetime.fromtimestamp(job["at"], datetime.timezone.utc)
        begins = f"starting execution with scheduled time {in_utc:%Y-%m-%d %H:%M:%S} UTC"
        given = (at,)
    elif entry == "writes":
        tables = [TableBatch(name, streams) for name, streams in job["tables"]]
        begins, given = "starting execution of wal plugin.", (tables,)
    elif entry == "snapshot":
        begins, given = "starting execution of snapshot plugin.", (json.loads(job["snapshot"]),)
    else:
        begins = "starting execution of request plugin."
        given = (job["query"], job["headers"], job["body"])
    began = time.perf_counter_ns()
    state.log(INFO, begins)
    returned = function_of(job, entry)(local, *given, arguments)
    response = answer(returned) if entry == "request" else None
    state.log(INFO, f"finished execution in {humanised(time.perf_counter_ns() - began)}")
    return response


class Unanswerable(Exception):
    """What a plugin returned is no answer."""


def body_of(value, in_tuple):
    """The bytes of a returned value, and of which type they are."""
    if isinstance(value, str):
        return value.encode(), "text/html"
    if isinstance(value, (dict, list)):
        return json.dumps(value).encode(), "application/json"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "application/octet-stream"
    if hasattr(value, "__iter__"):
        parts = [p.encode() if isinstance(p, str) else p for p in value]
        return b"".join(p for p in parts if isinstance(p, bytes)), "text/html"
    if in_tuple:
        return str(value).encode(), "text/plain"
    raise Unanswerable("Unsupported return type from Python function")


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


def checked(status, headers):
    if type(status) is not int or not 100 <= status <= 999:
        raise Unanswerable(f"{status} is not an HTTP status")
    for name, value in headers:
        if not isinstance(name, str) or not isinstance(value, str):
            raise Unanswerable(f"names and values of headers must be str: {name!r}: {value!r}")
        if not HEADER_NAME.match(name) or not HEADER_VALUE.match(value):
            raise Unanswerable(f"invalid header {name!r}: {value!r}")
    return status, headers


def parts_of(value):
    """Status, headers and body of what a request plugin returned, as Flask has it."""
    if getattr(type(value), "__flask_response__", None) and value.__flask_response__():
        body = value.get_data()
        body = body.encode() if isinstance(body, str) else bytes(body)
        return *checked(value.status_code, list(dict(value.headers).items())), body
    status, extra, in_tuple = 200, {}, False
    if isinstance(value, tuple) and 1 <= len(value) <= 3:
        in_tuple, rest = True, value[1:]
        if len(rest) == 2:
            status, extra = rest
            if not isinstance(extra, dict):
                raise Unanswerable("expected a dictionary in header item")
        elif rest and isinstance(rest[0], dict):
            extra = rest[0]
        elif rest:
            status = rest[0]
        if type(status) is not int:
            raise Unanswerable("Unsupported return type from Python function")
        value = value[0]
    body, content_type = body_of(value, in_tuple)
    headers = list(extra.items())
    if not any(isinstance(n, str) and n.lower() == "content-type" for n, _ in headers):
        headers.insert(0, ("content-type", content_type))
    return *checked(status, headers), body


def answer(value):
    try:
        return parts_of(value)
    except Unanswerable as error:
        body = json.dumps({"error": str(error)}).encode()
        return 500, [("content-type", "application/json")], body


def start(to_server, settings):
    """Makes the process ready for plugins."""
    global native
    native = to_server
    config.update(json.loads(settings))
    if config.get("memory"):
        limit_memory(config["memory"])
    for thing in (LineBuilder, InfluxDBError, QueryError, InvalidMeasurementError,
                  InvalidKeyError, InvalidLineError):
        setattr(builtins, thing.__name__, thing)
    time.sleep = sleep
    sys.stdout, sys.stderr = Output(sys.stdout, INFO), Output(sys.stderr, WARN)
    # The server speaks over what was the standard input.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def limit_memory(limit):
    """What is asked for beyond the limit is refused: Python raises MemoryError."""
    try:
        import resource
        kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))
    except (ImportError, OSError, ValueError) as error:
        print(f"memory is not limited: {error}", file=sys.stderr)
