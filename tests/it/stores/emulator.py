"""Plays an object store for the tests, until its standard input ends.

    emulator.py s3              Amazon S3 by moto, which checks signatures
    emulator.py unfenced-s3     the same, but it takes no notice of conditions
    emulator.py google          Google Cloud Storage
    emulator.py azure AZURITE   Azure Blob Storage by Azurite, whose program is AZURITE

Google's XML interface, which the server speaks, is that of S3 but for a few headers, so moto plays
it too: the headers are translated on the way in.

The first line of standard output is `PORT ACCOUNT SECRET`. Each line of standard input is a
command and is answered with one line:

    bucket NAME          makes a bucket
    keys BUCKET PREFIX   the names of the objects with that prefix, separated by blanks
    user                 S3 only: makes another access key, `KEY SECRET`
    forget KEY           S3 only: takes that key back
"""

import base64
import email.utils
import hashlib
import hmac
import json
import logging
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request


def without_signature(app):
    """Takes requests to Google and hands them on as requests to S3."""

    def translated(environ, start_response):
        if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4"):
            credential = "test/20200101/us-east-1/s3/aws4_request"
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={credential}"
        # Google's clients escape more of a path than moto understands.
        for name in ("RAW_URI", "REQUEST_URI"):
            path, mark, query = environ[name].partition("?")
            environ[name] = urllib.parse.quote(urllib.parse.unquote(path)) + mark + query
        return app(environ, start_response)

    return translated


def without_conditions(app):
    """Replaces objects although they are to be created only where there is none."""

    def translated(environ, start_response):
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return app(environ, start_response)

    return translated


class Moto:
    # The calls that make the first user with a key; from then on every signature is checked.
    SETUP_CALLS = 3

    def __init__(self, kind):
        is_signed = kind == "s3"
        checked_from = self.SETUP_CALLS if is_signed else 2**31
        os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(checked_from)
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        app = DomainDispatcherApplication(create_backend_app)
        if kind == "google":
            app = without_signature(app)
        elif kind == "unfenced-s3":
            app = without_conditions(app)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.port, self.account, self.secret = server.port, "test", "test"
        self.users = {}
        if is_signed:
            self.account, self.secret = self.make_user()
        self.s3 = self.client("s3")

    def client(self, service):
        import boto3

        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=self.account,
            aws_secret_access_key=self.secret,
        )

    def make_user(self):
        """A user of its own for each key, because no user may have more than two."""
        iam, name = self.client("iam"), f"user-{len(self.users)}"
        iam.create_user(UserName=name)
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        self.users[made["AccessKeyId"]] = name
        return made["AccessKeyId"], made["SecretAccessKey"]

    def bucket(self, name):
        self.s3.create_bucket(Bucket=name)
        return "done"

    def keys(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return " ".join(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def user(self):
        return " ".join(self.make_user())

    def forget(self, key):
        self.client("iam").delete_access_key(UserName=self.users[key], AccessKeyId=key)
        return "done"

    def end(self):
        pass


class Azurite:
    VERSION = "2021-12-02"

    def __init__(self, program):
        # The account that every Azurite has.
        self.account = "devstoreaccount1"
        self.secret = (
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        )
        options = ["--blobPort", "0", "--inMemoryPersistence", "--silent"]
        options += ["--disableTelemetry", "--skipApiVersionCheck"]
        self.process = subprocess.Popen(
            [program, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            found = re.search(r"successfully listens on http://[^:]*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            sys.exit("Azurite did not start:\n" + "".join(said))
        drain = lambda: self.process.stdout.read()
        threading.Thread(target=drain, daemon=True).start()

    def send(self, method, path, parameters):
        """A request signed with the account's key."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": self.VERSION}
        resource = f"/{self.account}/{self.account}{path}"
        lines = [method] + [""] * 11
        lines += [f"{name}:{value}" for name, value in sorted(headers.items())]
        lines += [resource] + [f"{name}:{value}" for name, value in sorted(parameters.items())]
        key = base64.b64decode(self.secret)
        digest = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{signature}"
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port}/{self.account}{path}?{query}"
        request = urllib.request.Request(url, method=method, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def bucket(self, name):
        self.send("PUT", f"/{name}", {"restype": "container"})
        return "done"

    def keys(self, bucket, prefix=""):
        parameters = {"comp": "list", "prefix": prefix, "restype": "container"}
        return " ".join(re.findall(r"<Name>([^<]*)</Name>", self.send("GET", f"/{bucket}", parameters)))

    def end(self):
        self.process.terminate()
        self.process.wait()


kind = sys.argv[1]
store = Azurite(sys.argv[2]) if kind == "azure" else Moto(kind)
try:
    print(store.port, store.account, store.secret, flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            answer = getattr(store, command)(*words)
        except Exception as error:
            answer = f"failed: {error!r}".replace("\n", " ")
        print(answer, flush=True)
finally:
    store.end()
    sys.stdout.flush()
    os._exit(0)
