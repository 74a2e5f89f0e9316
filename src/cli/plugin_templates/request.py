"""NAME: answers requests to /api/v3/engine/NAME.

Create the trigger with:

    influxdb3 create trigger --database DB --path NAME.py --upload --trigger-spec request:NAME NAME

Arguments:
    greeting    what it says (default: hello)
"""

import json


def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    """Runs for each request.

    influxdb3_local     logs, queries, writes and keeps things: info(), query(), write(), cache,
                        counter(), trigger
    query_parameters    of the address, a dict of texts
    request_headers     by their names in small letters, a dict of texts
    request_body        bytes
    args                the trigger's arguments, a dict of texts, or None

    Returns a body, or (body, status), (body, headers) or (body, status, headers).
    """
    try:
        given = json.loads(request_body or b"{}")
    except ValueError:
        return {"error": "the body is not JSON"}, 400
    greeting = (args or {}).get("greeting", "hello")
    influxdb3_local.info(f"a request with {len(query_parameters)} parameters")
    return {"greeting": greeting, "name": query_parameters.get("name", "world"), "given": given}
