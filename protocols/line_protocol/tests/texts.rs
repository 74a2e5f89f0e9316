//! The error texts, one line each, and how errors are reported.

use super::*;
use crate::limits::REFUSED_LINES_TOLD_MAX;

#[test]
fn a_field_is_required() {
    let quotes =
        |value: &str| format!("\"{value}\" is no value of field \"f\" (text needs double quotes)");
    let finite = |value: &str| quotes(value) + "; numbers have to be finite";
    let no_field = |text: &str| {
        format!(
            "\"{text}\" is no field, which is name=value (a space or comma in a name or tag value \
             needs a backslash before it)"
        )
    };
    let no_value = || "field \"f\" has no value".to_owned();
    let no_name = |text: &str| format!("\"{text}\" is a field without a name");
    let hidden =
        |text: &str| format!("\"{text}\" ends with a backslash, which hides the space after it");
    let cases = [
        ("m f", no_field("f")),
        ("m f=", no_value()),
        ("m f= 1", no_value()),
        ("m f=,g=1 1", no_value()),
        ("m f =1", no_field("f")),
        ("m =1", no_name("=1")),
        ("m f==1", quotes("=1")),
        ("m f=NaN", finite("NaN")),
        ("m f=inf 1", finite("inf")),
        ("m f=-Infinity", finite("-Infinity")),
        ("m f=.", quotes(".")),
        ("m f='a'", quotes("'a'")),
        ("m f='a b'", quotes("'a")),
        ("m f=yes", quotes("yes")),
        ("m f=hi,g=1 1", quotes("hi")),
        ("m f=\\", quotes("\\")),
        ("m f=\"abc", "the text of field \"f\" has no closing double quote".to_owned()),
        ("m a b=1", no_field("a")),
        ("m a,b=1", no_field("a")),
        ("m ,t=a f=1", no_name("")),
        ("m,t=\"x y\" f=1", no_field("y\"")),
        ("foo 1234", no_field("1234")),
        ("m,a=b 12", no_field("12")),
        ("m ", "the line ends before a field".to_owned()),
        (r"m,t=C:\dir\ f=1 5", hidden(r"C:\dir\")),
        (r"m,t=C:\dir\,u=a\ f=1 5", hidden(r"a\")),
        (r"m\ f=1 5", hidden(r"m\")),
        (r"m,t=Living\ Room f=hi", quotes("hi")),
        (r"m,t=Living\ Room 5", no_field("5")),
    ];
    for (line, reason) in cases {
        assert_eq!(fault(line), format!("No fields were provided: {reason}"), "{line}");
    }
}

/// A line of two megabytes makes no error of two megabytes.
#[test]
fn errors_are_short() {
    let long = "é".repeat(500_000);
    let lines = [
        format!("m f={long}"),
        format!("m {long}"),
        format!("{long}\tf=1"),
        format!("m\t{long}"),
        format!("m f=\"{long}"),
        format!("m f=1,g={long}"),
        format!("m f=1 {long}"),
        format!("m f={}i", "1".repeat(1_000_000)),
        format!("m f=1 {}", "1".repeat(1_000_000)),
        format!("m f={}", "1".repeat(1_000_000)),
        format!("{long} f=1,f=\"\""),
        format!("m {long}=1,{long}=1"),
        format!("m,{long}=1,{long}=1 f=1"),
        format!("m,{long}\\ f=1"),
    ];
    for line in lines {
        let found = write(&line);
        let [error] = found.errors.as_slice() else { panic!("one error") };
        let start = error.original_line.as_str();
        assert!(line.starts_with(start) && (510..=512).contains(&start.len()), "{start}");
        assert!(error.message.len() < 2_000, "{}", error.message.len());
    }
}

#[test]
fn series_faults() {
    let end = "Expected at least one space character, got end of input";
    let hidden = |name: &str| {
        format!("{end}: \"{name}\" ends with a backslash, which hides the space after it")
    };
    let (hidden_m, hidden_x) = (hidden(r"m\"), hidden(r"x\"));
    let cases = [
        (",f=1", "Invalid measurement was provided"),
        ("\0 f=1", "Invalid measurement was provided"),
        ("m", end),
        ("m,t=a", end),
        (r"m\ n", end),
        (r"m\ f=1", &hidden_m),
        (r"m,t=x\ f=1", &hidden_x),
        (r"m,u=y\ z,t=x\ f=1,g=2", &hidden_x),
        ("m\tf=1", "Expected at least one space character, got `\tf=1`"),
        ("m\tvalue=1 1234567", "Expected at least one space character, got `\tvalue=1 1234567`"),
        ("m,t=a\tf=1", "Expected at least one space character, got `\tf=1`"),
        ("m,t f=1", "Tag set malformed: could not find equals sign in `t f=1`"),
        ("m,a=b,t f=1", "Tag set malformed: could not find equals sign in `t f=1`"),
        ("m,t", "Tag set malformed: could not find equals sign in `t`"),
        ("m,room field=1", "Tag set malformed: could not find equals sign in `room field...`"),
        ("m,t=a, f=1", "Expected tag key, got ` f=1`"),
        ("m, f=1", "Expected tag key, got ` f=1`"),
        ("m,=a f=1", "Expected tag key, got `=a f=1`"),
        ("m,", "Expected tag key, got end of input"),
        ("m,t= f=1", "Expected tag value, got ` f=1`"),
        ("m,t=", "Expected tag value, got end of input"),
        ("m,t=,u=b f=1", "Expected tag value, got `,u=b f=1`"),
        ("m,,t=a f=1", "Expected tag key, got `,t=a f=1`"),
        ("m,a,t=b f=1", "Tag set malformed: could not find equals sign in `a,t=b f=1`"),
    ];
    for (line, text) in cases {
        assert_eq!(fault(line), text, "{line}");
    }
}

#[test]
fn trailing_content() {
    let cases = [
        ("m f=1,g=2,", ","),
        ("m f=1,", ","),
        ("m f=1, 5", " 5"),
        ("m f=1,,g=2", ",g=2"),
        ("m f=1,g=2,,h=2", ",,h=2"),
        ("m f=1,g,h=2", "g,h=2"),
        ("m f=1, g=2", " g=2"),
        ("m f=1 abc", " abc"),
        ("m f=1 5 6", "6"),
        ("m f=1 1.5", ".5"),
        ("m f=1 5x", "x"),
        ("m f=1 +5", " +5"),
        ("m f=1i5", "5"),
        ("m f=-1u", "u"),
        ("m f=1.5u", "u"),
        ("m f=1e5i", "i"),
        ("m f=tru", "ru"),
        ("m f=tRue", "Rue"),
        ("m f=1_000", "_000"),
        ("m f=\"a\"x", "x"),
        ("m f=\"a\" b\" 1", " b\" 1"),
        ("m f=1\r5", "\r5"),
        ("m f=1 1\r\r", "\r"),
        ("m f=1 5\t", "\t"),
        ("m f=1 #x", " #x"),
        ("m v=-1u 1", "u 1"),
        ("m a=tru 1", "ru 1"),
        ("m f=1..5", ".5"),
        ("m f=1\\\nm f=2", "\\\nm f=2"),
        ("m f=0x10", "x10"),
        ("m f=1f", "f"),
        ("m f=1.0i", "i"),
    ];
    for (line, rest) in cases {
        let text = format!("Could not parse entire line. Found trailing content: `{rest}`");
        assert_eq!(fault(line), text, "{line}");
    }
}

#[test]
fn later_fields_without_a_value_are_named() {
    let cases = [
        (
            "m f=1,g=NaN",
            "g=NaN",
            "\"NaN\" is no value of field \"g\" (text needs double quotes); \
                                numbers have to be finite",
        ),
        (
            "m f=1,g=2,h=hi 1",
            ",h=hi 1",
            "\"hi\" is no value of field \"h\" (text needs double quotes)",
        ),
        ("m f=1,g= 1", "g= 1", "field \"g\" has no value"),
        ("m f=1,g=\"a", "g=\"a", "the text of field \"g\" has no closing double quote"),
    ];
    for (line, rest, reason) in cases {
        let text =
            format!("Could not parse entire line. Found trailing content: `{rest}`: {reason}");
        assert_eq!(fault(line), text, "{line}");
    }
}

#[test]
fn values_out_of_range_and_bad_ends() {
    let backslash =
        "Measurements, tag keys and values, and field keys may not end with a backslash";
    let cases = [
        ("m f=9223372036854775808i", "Unable to parse integer value `9223372036854775808`"),
        ("m f=1,g=9223372036854775808i", "Unable to parse integer value `9223372036854775808`"),
        (
            "m f=18446744073709551616u",
            "Unable to parse unsigned integer value `18446744073709551616`",
        ),
        ("m f=1e400", "Unable to parse float value `1e400`"),
        ("m f=1,g=-1e309 5", "Unable to parse float value `1e309`"),
        ("m f=1 9223372036854775808", "Unable to parse timestamp value `9223372036854775808`"),
        ("m v=1 99999999999999999999", "Unable to parse timestamp value `99999999999999999999`"),
        (r"m,t=x\\ f=1", backslash),
        (r"m\", backslash),
    ];
    for (line, text) in cases {
        assert_eq!(fault(line), text, "{line}");
    }
    let long = format!("m f=\"{}\"", "x".repeat(1_048_577));
    assert_eq!(fault(&long), "String is greater than 1MB");
    let fits = format!("m f=\"{}\"", "x".repeat(1_048_576));
    assert_eq!(write(&fits).accepted_lines, 1);
}

/// The same faults after a line that sets up the expected way, and before one that shows that
/// reading goes on.
#[test]
fn faults_read_the_same_after_good_lines() {
    let lines = [
        "m f=1,g=",
        "m f=1,g=NaN",
        "m f=hi,g=\"a\"",
        "m f=1,g=\"a\" abc",
        "m f=1,g=\"a\" 1x",
        "m f=1,g=\"a\",",
        "m f=1",
        "m,t f=1,g=\"a\"",
        "m\tf=1,g=\"a\"",
        "m f=1i,g=\"a\"",
        "m f=1,g=\"a\" 9223372036854775808",
        "m f=1,g=2",
        "m",
        "m f=1,g=\"a\"\r\r5",
        "m f=1e400,g=\"a\"",
        "m f=1,g=\"a\", 5",
    ];
    for line in lines {
        let around = write(&format!("m f=1,g=\"a\" 1\n{line}\nm f=3,g=\"c\" 3"));
        assert!(around.accepted_lines >= 2, "{line}");
        let Some(error) = around.errors.first() else { continue };
        assert_eq!((error.line_number, error.original_line.as_str()), (2, line));
        assert_eq!(show(&around), ["m f=1.0 g=\"a\" 1", "m f=3.0 g=\"c\" 3"], "{line}");
        if let Some(alone) = write(line).errors.first() {
            assert_eq!(error.message, alone.message, "{line}");
        }
    }
}

#[test]
fn errors_name_the_line() {
    let found = write("#c\n\nm f=1\nbad\n  worse\n# x=\"\nm f=\"a\nb\"\nm,t=ü f=hi");
    let at: Vec<_> =
        found.errors.iter().map(|e| (e.line_number, e.original_line.as_str())).collect();
    assert_eq!(at, [(2, "bad"), (3, "  worse"), (4, "m f=\"a\nb\""), (5, "m,t=ü f=hi")]);
    assert_eq!(found.accepted_lines, 1);
    assert_eq!(found.accepted_bytes, "m f=1".len());
    assert!(found.errors.iter().all(|error| !error.is_limit));
}

#[test]
fn only_so_many_bad_lines_are_listed() {
    let body = "x\n".repeat(REFUSED_LINES_TOLD_MAX + 5) + "m f=1";
    let found = write(&body);
    assert_eq!(found.errors.len(), REFUSED_LINES_TOLD_MAX);
    assert_eq!(found.refused_lines, REFUSED_LINES_TOLD_MAX + 5);
    assert_eq!(found.accepted_lines, 1);
}

#[test]
fn an_open_string_fails_once() {
    let found = write("m f=1 1\nm f=\"a\nm f=2 2\nm f=3 3");
    let reason = "the text of field \"f\" has no closing double quote";
    assert_eq!(messages(&found), [format!("No fields were provided: {reason}")]);
    assert_eq!(found.errors[0].original_line, "m f=\"a\nm f=2 2\nm f=3 3");
    assert_eq!(found.accepted_lines, 1);
}

#[test]
fn a_bad_line_is_shown_without_its_carriage_return() {
    let found = write("m v=1 1\r\n\r\n# c\r\nbad\r\nm v=2 2\r\n");
    let [error] = found.errors.as_slice() else { panic!("one error") };
    assert_eq!((error.line_number, error.original_line.as_str()), (2, "bad"));
    assert_eq!((found.accepted_lines, found.accepted_bytes), (2, 14));
}

#[test]
fn all_or_nothing() {
    let strict = ParseOptions { accept_partial: false, ..options() };
    let body = "home,room=Sunroom temp=96\nhome,room=Sunroom temp=hi\nbad";
    let found = parse(body.as_bytes(), None, &strict).unwrap();
    assert!(found.tables.is_empty());
    assert_eq!((found.accepted_lines, found.accepted_bytes), (0, 0));
    let [error] = found.errors.as_slice() else { panic!("one error") };
    assert_eq!(error.line_number, 2);
    assert_eq!(error.original_line, "home,room=Sunroom temp=hi");
    assert!(error.message.starts_with("No fields were provided: \"hi\""), "{}", error.message);

    let good = parse(b"m f=1 1\nm f=2 2", None, &strict).unwrap();
    assert_eq!((good.accepted_lines, good.errors.len()), (2, 0));
}

#[test]
fn the_body_must_be_utf8() {
    let error = parse(b"m f=\"\xff\" 1", None, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "body content is not valid utf8: invalid utf-8 sequence of 1 bytes from index 5"
    );
    let error = parse(b"\xff\xfem\0 \0f\0=\x001\0", None, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "body content is not valid utf8: invalid utf-8 sequence of 1 bytes from index 0; it seems \
         to be UTF-16: send it as UTF-8"
    );
}
