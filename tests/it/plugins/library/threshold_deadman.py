"""Tells a receiver over HTTP when a value passes a threshold, and when nothing comes any more."""

import json
import time
import urllib.request
import uuid


def notify(influxdb3_local, url, text):
    body = json.dumps({"id": str(uuid.uuid4()), "text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for attempt in range(3):
        try:
            with opener.open(request, timeout=30) as answer:
                influxdb3_local.info(f"told: {text} ({answer.status})")
                return
        except OSError as error:
            influxdb3_local.warn(f"attempt {attempt + 1}: {error}")
            time.sleep(0.05)
    influxdb3_local.error(f"could not tell: {text}")


def process_writes(influxdb3_local, table_batches, args=None):
    limit = float(args["limit"])
    for batch in table_batches:
        for row in batch["rows"]:
            host, value = row.get("host", "none"), row.get("v")
            count = influxdb3_local.cache.get(host, 0)
            count = count + 1 if value is not None and value > limit else 0
            influxdb3_local.cache.put(host, count)
            if count == int(args.get("times", "2")):
                notify(influxdb3_local, args["url"], f"{host} above {limit:g}")


def process_scheduled_call(influxdb3_local, call_time, args=None):
    sql = f"SELECT count(*) AS n FROM {args['table']} WHERE time > now() - INTERVAL '1 hour'"
    if influxdb3_local.query(sql)[0]["n"] == 0:
        if not influxdb3_local.cache.get("dead", False):
            notify(influxdb3_local, args["url"], f"{args['table']} is silent")
        influxdb3_local.cache.put("dead", True, ttl=3600.0)
