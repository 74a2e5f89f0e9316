//! Where this server answers otherwise than InfluxDB 3 Core 3.10 was seen to, on purpose: the one
//! list of such cases. Whoever compares recorded answers with ours finds the reasons here. Plans
//! that EXPLAIN shows are those of this server and in no such list.

use crate::support::server::Server;

/// A request whose recorded answer is not ours.
struct Deviation {
    /// What the case is about.
    case: &'static str,
    method: &'static str,
    path: &'static str,
    /// A header and its value.
    header: Option<(&'static str, &'static str)>,
    body: &'static str,
    /// Status and body as recorded.
    recorded: (u16, &'static str),
    /// Status and body that are right.
    right: (u16, &'static str),
    why: &'static str,
}

impl Deviation {
    /// A write that is told otherwise.
    const fn write(
        case: &'static str,
        path: &'static str,
        body: &'static str,
        recorded: (u16, &'static str),
        right: (u16, &'static str),
        why: &'static str,
    ) -> Self {
        Self { case, method: "POST", path, header: None, body, recorded, right, why }
    }
}

const WINDOWS: &str = "files from Windows end their lines so; nothing of them is stored otherwise";
const WAY_OUT: &str = "the words are the same and go on with what is wrong with which field";
const ONE_BAD_LINE: &str = "versions 1 and 2 store the good lines and count the bad ones; clients of \
                            theirs drop a batch that is refused as a whole, without its reason";
const PLAIN_TYPES: &str = "the table is named, and the types as people call them";
const UNITS: &str = "version 1 has these units, so the list of them is longer";
const WHOLE_LINE: &str = "a line is shown up to some hundred bytes, not to twenty";

const DEVIATIONS: &[Deviation] = &[
    Deviation::write(
        "write-v3-crlf",
        "/api/v3/write_lp?db=a1",
        "m v=1 1\r\nm v=2 2\r\n",
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"Could not parse entire line. Found trailing content: `\\r`\",\"line_number\":1,\"original_line\":\"m v=1 1\"},{\"error_message\":\"Could not parse entire line. Found trailing content: `\\r`\",\"line_number\":2,\"original_line\":\"m v=2 2\"}]}",
        ),
        (204, ""),
        WINDOWS,
    ),
    Deviation::write(
        "write-v1-crlf",
        "/write?db=a2",
        "m v=1 1\r\nm v=2 2\r\n",
        (
            400,
            "{\"error\":\"line protocol parsing error\",\"data\":{\"error_message\":\"Could not parse entire line. Found trailing content: `\\r`\",\"line_number\":1,\"original_line\":\"m v=1 1\"}}",
        ),
        (204, ""),
        WINDOWS,
    ),
    Deviation::write(
        "write-v2-crlf",
        "/api/v2/write?bucket=a3",
        "m v=1 1\r\nm v=2 2\r\n",
        (
            400,
            "{\"code\":\"invalid\",\"message\":\"write buffer error: line protocol parse failed: Could not parse entire line. Found trailing content: `\\r`\"}",
        ),
        (204, ""),
        WINDOWS,
    ),
    Deviation::write(
        "write-v3-inf, write-v3-nan, write-v3-bad_value, write-v3-str_open, write-v3-no_fields2",
        "/api/v3/write_lp?db=a4",
        "m v=inf 1",
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"No fields were provided\",\"line_number\":1,\"original_line\":\"m v=inf 1\"}]}",
        ),
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"No fields were provided: \\\"inf\\\" is no value of field \\\"v\\\" (text needs double quotes); numbers have to be finite\",\"line_number\":1,\"original_line\":\"m v=inf 1\"}]}",
        ),
        WAY_OUT,
    ),
    Deviation::write(
        "write-v1-exp, write-v2-exp, write-v3-exp",
        "/write?db=a5",
        "m v=1e5,w=1E-5,x=+3,y=.5,z=5. 1",
        (
            400,
            "{\"error\":\"line protocol parsing error\",\"data\":{\"error_message\":\"Could not parse entire line. Found trailing content: `,x=+3,y=.5...`\",\"line_number\":1,\"original_line\":\"m v=1e5,w=1E-5,x=+3,\"}}",
        ),
        (204, ""),
        "versions 1 and 2 take such numbers",
    ),
    Deviation::write(
        "write-v1-bad_ts, and all of /write with a bad line",
        "/write?db=a6",
        "m v=1 abc",
        (
            400,
            "{\"error\":\"line protocol parsing error\",\"data\":{\"error_message\":\"Could not parse entire line. Found trailing content: ` abc`\",\"line_number\":1,\"original_line\":\"m v=1 abc\"}}",
        ),
        (
            400,
            "{\"error\":\"partial write: line 1: Could not parse entire line. Found trailing content: ` abc` dropped=1\"}",
        ),
        ONE_BAD_LINE,
    ),
    Deviation::write(
        "write-v2-int_over, and all of /api/v2/write with a bad line",
        "/api/v2/write?bucket=a7",
        "m v=9223372036854775808i 1",
        (
            400,
            "{\"code\":\"invalid\",\"message\":\"write buffer error: line protocol parse failed: Unable to parse integer value `9223372036854775808`\"}",
        ),
        (
            400,
            "{\"code\":\"invalid\",\"message\":\"partial write: line 1: Unable to parse integer value `9223372036854775808` dropped=1\",\"line\":1}",
        ),
        ONE_BAD_LINE,
    ),
    Deviation::write(
        "write-v3-conflict, write-v1-conflict, write-v2-tag_field_same",
        "/api/v3/write_lp?db=a8",
        "m v=1 1\nm v=2i 2",
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::field::integer\",\"line_number\":2,\"original_line\":\"m v=2i 2\"}]}",
        ),
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"invalid column type for column 'v', expected float, got integer (table 'm')\",\"line_number\":2,\"original_line\":\"m v=2i 2\"}]}",
        ),
        PLAIN_TYPES,
    ),
    Deviation::write(
        "write-v3-conflict_np",
        "/api/v3/write_lp?db=a9&accept_partial=false",
        "m v=1 1\nm v=2i 2",
        (
            400,
            "{\"error\":\"line protocol parsing error\",\"data\":{\"error_message\":\"invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::field::integer\",\"line_number\":2,\"original_line\":\"m v=2i 2\"}}",
        ),
        (
            400,
            "{\"error\":\"parsing failed for write_lp endpoint\",\"data\":{\"error_message\":\"invalid column type for column 'v', expected float, got integer (table 'm')\",\"line_number\":2,\"original_line\":\"m v=2i 2\"}}",
        ),
        "the documentation gives this text for a request that is refused as a whole",
    ),
    Deviation::write(
        "write-v3-big_ts, write-v1-big_ts",
        "/api/v3/write_lp?db=b1",
        "m v=1 99999999999999999999",
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"Unable to parse timestamp value `99999999999999999999`\",\"line_number\":1,\"original_line\":\"m v=1 99999999999999\"}]}",
        ),
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"Unable to parse timestamp value `99999999999999999999`\",\"line_number\":1,\"original_line\":\"m v=1 99999999999999999999\"}]}",
        ),
        WHOLE_LINE,
    ),
    Deviation::write(
        "write-v3-dup_tag",
        "/api/v3/write_lp?db=b2",
        "m,a=1,a=2 v=1 1",
        (204, ""),
        (
            400,
            "{\"error\":\"partial write of line protocol occurred\",\"data\":[{\"error_message\":\"invalid line protocol - multiple instances of 'a' tag found\",\"line_number\":1,\"original_line\":\"m,a=1,a=2 v=1 1\"}]}",
        ),
        "a column holds one value of a row",
    ),
    Deviation::write(
        "write-v1-prec_auto_s, write-v1-prec_auto_ms, write-v1-prec_bad",
        "/write?db=b3&precision=auto",
        "m v=1 1748736000",
        (
            400,
            "{\"error\":\"failed to deserialize db/rp/precision in request: unknown variant `auto`, expected one of `s`, `second`, `millisecond`, `ms`, `microsecond`, `u`, `us`, `n`, `nanosecond`, `ns`\"}",
        ),
        (
            400,
            "{\"error\":\"failed to deserialize db/rp/precision in request: unknown variant `auto`, expected one of `s`, `second`, `millisecond`, `ms`, `microsecond`, `u`, `us`, `n`, `nanosecond`, `ns`, `h`, `m`, `\u{b5}`\"}",
        ),
        UNITS,
    ),
    Deviation {
        case: "a header without a known form",
        method: "GET",
        path: "/health",
        header: Some(("authorization", "Token ")),
        body: "",
        recorded: (
            400,
            "{\"error\": \"Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic\"}",
        ),
        right: (200, "OK"),
        why: "clients that have no token cannot leave the header out",
    },
    Deviation {
        case: "HEAD on a route of GET",
        method: "HEAD",
        path: "/ping",
        header: None,
        body: "",
        recorded: (404, ""),
        right: (200, ""),
        why: "load balancers ask so",
    },
    Deviation {
        case: "influxql-226, v1-226",
        method: "GET",
        path: "/api/v3/query_influxql?db=_internal&q=SHOW%20SERIES",
        header: None,
        body: "",
        recorded: (
            400,
            "error in InfluxQL statement: parsing error: invalid SHOW statement, expected DATABASES, FIELD KEYS, MEASUREMENTS, TAG KEYS, TAG VALUES, or RETENTION POLICIES following SHOW at pos 5",
        ),
        right: (200, "[]"),
        why: "tools of version 1 list and count series",
    },
    Deviation {
        case: "influxql-111, v1-111",
        method: "GET",
        path: "/api/v3/query_influxql?db=seen&q=SELECT%20ELAPSED(MEAN(usage),1s)%20FROM%20cpu%20WHERE%20time%20%3E%3D%20360s%20AND%20time%20%3C%20720s%20GROUP%20BY%20time(6m)",
        header: None,
        body: "",
        recorded: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:00:00\",\"elapsed\":0},{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:06:00\",\"elapsed\":360}]",
        ),
        right: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:06:00\",\"elapsed\":360}]",
        ),
        why: "the window before the range is read for the first one, and is not asked for",
    },
    Deviation {
        case: "influxql-186, influxql-188, v1-186, v1-188",
        method: "GET",
        path: "/api/v3/query_influxql?db=seen&q=SELECT%20usage%20FROM%20cpu%20LIMIT%201",
        header: None,
        body: "",
        recorded: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:06:00\",\"usage\":3.0}]",
        ),
        right: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:06:00\",\"usage\":1.0}]",
        ),
        why: "rows of one time are in the order of their tags, so that LIMIT shows the same each time",
    },
    Deviation {
        case: "influxql-058, v1-058",
        method: "GET",
        path: "/api/v3/query_influxql?db=seen&q=SELECT%20INTEGRAL(usage,1m)%20FROM%20cpu",
        header: None,
        body: "",
        recorded: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:00:00\",\"integral\":1.0}]",
        ),
        right: (
            200,
            "[{\"iox::measurement\":\"cpu\",\"time\":\"1970-01-01T00:00:00\",\"integral\":2.0}]",
        ),
        why: "points of one time are in the order of their tags, as version 1 takes them",
    },
];

#[test]
fn answers_differ_where_they_are_to_and_nowhere_else() {
    let server = Server::memory();
    // Two points of one time, and one a minute later.
    server.client.must_write(
        "seen",
        "cpu,host=b usage=3 360000000000\ncpu,host=a usage=1 360000000000\n\
         cpu,host=a usage=1 420000000000",
    );
    for deviation in DEVIATIONS {
        let Deviation { case, method, path, header, body, recorded, right, why } = deviation;
        assert_ne!(recorded, right, "{case} is none");
        assert!(!why.is_empty(), "{case} lacks its reason");
        let headers: Vec<(&str, &str)> = header.iter().copied().collect();
        let answer = server.client.send(method, path, &headers, *body);
        assert_eq!((answer.status, answer.text().as_str()), *right, "{case}: {why}");
    }
}
