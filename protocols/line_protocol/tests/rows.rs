//! Good lines and the rows they become.

use super::*;

fn check(body: &str, expected: &[&str]) {
    let found = write(body);
    assert_eq!(messages(&found), Vec::<&str>::new(), "{body}");
    assert_eq!(show(&found), expected, "{body}");
}

#[test]
fn single_lines() {
    check("  m  f=1   5   ", &["m f=1.0 5"]);
    check("\t m f=1 5 ", &["m f=1.0 5"]);
    check(r#"m,a\ b=c\,d\=e x\ y="z" 1"#, &["m a b=c,d=e x y=\"z\" 1"]);
    check(r"m\,x f=1 1", &["m,x f=1.0 1"]);
    check("m=x f=1 1", &["m=x f=1.0 1"]);
    check(r"m f\==1 1", &["m f==1.0 1"]);
    check("m,t=a=b f=1 1", &["m t=a=b f=1.0 1"]);
    check(r#"m f="a\\b" 1"#, &[r#"m f="a\b" 1"#]);
    check(r#"m f="a\"b" 1"#, &[r#"m f="a"b" 1"#]);
    check("m f=007i 1", &["m f=7i 1"]);
    check("m f=-0i 1", &["m f=0i 1"]);
    check("日本,t=é f=\"ü\" 1", &["日本 t=é f=\"ü\" 1"]);
    check("m f=\"a\nb\" 1", &["m f=\"a\nb\" 1"]);
    check("m f=.5,g=5.,h=+1,i=+2i,j=+3u 5", &["m f=0.5 g=5.0 h=1.0 i=2i j=3u 5"]);
    check(r"m,t=x\y f=1 1", &[r"m t=x\y f=1.0 1"]);
    check(r#"m f="a\nb" 1"#, &[r#"m f="a\nb" 1"#]);
    check("\"m\",t=\"x\" f=1 1", &["\"m\" t=\"x\" f=1.0 1"]);
    check(r"m,\,t=a f=1 1", &["m ,t=a f=1.0 1"]);
    check(r"m a\,b=1 1", &["m a,b=1.0 1"]);
    check("m f=\"\" 1", &["m f=\"\" 1"]);
    check("_m,_a=b iox_v=1,a::b=2 1", &["_m _a=b iox_v=1.0 a::b=2.0 1"]);
    check("\u{feff}m f=1 1", &["m f=1.0 1"]);
    check("m f=1.7976931348623157e308 1", &["m f=1.7976931348623157e308 1"]);
    check("m f=-0 1", &["m f=-0.0 1"]);
    check("m f=\"a\tb\0c\" 1", &["m f=\"a\tb\0c\" 1"]);
}

#[test]
fn one_column_of_each_type() {
    check("m,t=a f=1,i=1i,u=1u,s=\"x\",b=true 1", &["m t=a f=1.0 i=1i u=1u s=\"x\" b=true 1"]);
    let found = write("m,t=a f=1,i=1i,u=1u,s=\"x\",b=true 1");
    let kinds: Vec<_> =
        found.tables[0].columns.iter().map(|c| c.data.kind().influx_name()).collect();
    assert_eq!(
        kinds,
        [
            "iox::column_type::tag",
            "iox::column_type::field::float",
            "iox::column_type::field::integer",
            "iox::column_type::field::uinteger",
            "iox::column_type::field::string",
            "iox::column_type::field::boolean",
        ]
    );
}

#[test]
fn booleans() {
    let spelt = ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"];
    let body: String = spelt.map(|word| format!("m f={word} 1\n")).concat();
    let found = write(&body);
    assert_eq!(values(&found.tables[0], "f"), [["true"; 5], ["false"; 5]].concat());
}

#[test]
fn comments_and_blank_lines() {
    check("# hello\nm v=1 1", &["m v=1.0 1"]);
    check("\n\nm v=1 1\n\n", &["m v=1.0 1"]);
    for empty in ["", "\n\n", "# c", "  \t\n#\n"] {
        let found = write(empty);
        assert!(found.tables.is_empty() && found.errors.is_empty(), "{empty:?}");
    }
}

/// Both ways of reading, blanks before the end, and texts that hold the same characters.
#[test]
fn carriage_returns_before_newlines_are_no_part_of_lines() {
    let body = "\u{feff}# c\nm,t=a f=1,s=\"x\ny\" 1\n\nm,t=a f=2,s=\"z\" 2 \nm,t=b f=3,s=\"\"\n\
                m,t=b f=4,s=\"\"  \nm f=5\nm f=6";
    let rows = show(&write(body));
    assert_eq!(rows.len(), 6);
    let windows = body.replace('\n', "\r\n");
    let expected: Vec<String> = rows.iter().map(|row| row.replace('\n', "\r\n")).collect();
    for body in [windows.clone(), windows + "\r", body.to_owned() + "\r\n\r\n"] {
        let found = write(&body);
        assert_eq!(messages(&found), Vec::<&str>::new());
        let crs = body.contains("x\r\n");
        assert_eq!(&show(&found), if crs { &expected } else { &rows }, "{body:?}");
    }
}

#[test]
fn absent_values_are_null() {
    check(
        "m,a=1,b=x f=1 1\nm,a=1 f=2 2\nm g=3i 3\nm,b=y f=4,g=4i 4",
        &[
            "m a=1 b=x f=1.0 g=- 1",
            "m a=1 b=- f=2.0 g=- 2",
            "m a=- b=- f=- g=3i 3",
            "m a=- b=y f=4.0 g=4i 4",
        ],
    );
    let found = write("m,a=1 f=1 1\nm,a=2 f=2 2");
    assert!(found.tables[0].columns.iter().all(|column| column.validity.is_none()));
}

#[test]
fn tables_come_in_order_of_appearance() {
    check(
        "b f=1 1\na f=1 2\nb f=2 3\nc,t=x g=t 4\na f=2 5",
        &["b f=1.0 1", "b f=2.0 3", "a f=1.0 2", "a f=2.0 5", "c t=x g=true 4"],
    );
}

#[test]
fn lines_of_many_shapes_interleave() {
    check(
        "m,h=a f=1,g=1i 1\nm,h=b f=2,g=2i 2\nm,h=a f=3,g=3i 3\nm,h=b,k=z f=4 4\nm,h=a g=5i,f=5 5\n\
         m,k=z,h=b f=6 6\nm,h=a  g=7i,f=7  7  \nm,h=c g=8i,f=8 8\nm,h=c g=9i,f=9 9",
        &[
            "m h=a f=1.0 g=1i k=- 1",
            "m h=b f=2.0 g=2i k=- 2",
            "m h=a f=3.0 g=3i k=- 3",
            "m h=b f=4.0 g=- k=z 4",
            "m h=a f=5.0 g=5i k=- 5",
            "m h=b f=6.0 g=- k=z 6",
            "m h=a f=7.0 g=7i k=- 7",
            "m h=c f=8.0 g=8i k=- 8",
            "m h=c f=9.0 g=9i k=- 9",
        ],
    );
}

#[test]
fn escaped_text_is_the_same_on_every_way() {
    check(
        "m\\ x,t\\ k=a\\ b f\\ k=\"q\\\"q\" 1\nm\\ x,t\\ k=a\\ b f\\ k=\"r\\\\r\" 2\n\
         m\\ x,t\\ k=c\\,d f\\ k=\"two\nlines\" 3\nm\\ x,t\\ k=a\\ b f\\ k=\"\" 4",
        &[
            "m x t k=a b f k=\"q\"q\" 1",
            "m x t k=a b f k=\"r\\r\" 2",
            "m x t k=c,d f k=\"two\nlines\" 3",
            "m x t k=a b f k=\"\" 4",
        ],
    );
}

/// A comma that no backslash hides ends a key, and no column comes of it.
#[test]
fn bare_commas_make_no_columns() {
    let found = write("m a,b=1 1\nm,,t=x a=1 2\nm a=1,,w=2 3\nm a=1,b,c=2 4\nm a=1, 5\nm a=1, 6");
    assert_eq!(found.errors.len(), 6);
    assert!(found.tables.is_empty());
    let found = write("m a=1 1\nm a=1,,w=2 2\nm a=1, 3\nm a=4,b=5 4");
    assert_eq!(show(&found), ["m a=1.0 b=- 1", "m a=4.0 b=5.0 4"]);
}

#[test]
fn times() {
    let at = |precision, body: &str| {
        let options = ParseOptions { precision, ..options() };
        let found = parse(body.as_bytes(), None, &options).unwrap();
        assert_eq!(messages(&found), Vec::<&str>::new());
        found.tables[0].times.clone()
    };
    let body = "m f=1 5\nm f=2 -5\nm f=3 0";
    assert_eq!(at(Precision::Hour, body), [18_000_000_000_000, -18_000_000_000_000, 0]);
    assert_eq!(at(Precision::Minute, body), [300_000_000_000, -300_000_000_000, 0]);
    assert_eq!(at(Precision::Second, body), [5_000_000_000, -5_000_000_000, 0]);
    assert_eq!(at(Precision::Millisecond, body), [5_000_000, -5_000_000, 0]);
    assert_eq!(at(Precision::Microsecond, body), [5_000, -5_000, 0]);
    assert_eq!(at(Precision::Nanosecond, body), [5, -5, 0]);
    let stamps = "m f=1 123\nm f=1 1748736000\nm f=1 1748736000000\nm f=1 1748736000000000\n\
                  m f=1 1748736000000000000";
    let instant = 1_748_736_000_000_000_000;
    assert_eq!(at(Precision::Auto, stamps), [123_000_000_000, instant, instant, instant, instant]);
    let none = "m,k=1 f=1\nm,k=2 f=1";
    assert_eq!(at(Precision::Auto, none), [NOW_NS, NOW_NS]);
    assert_eq!(at(Precision::Second, none), [1_700_000_000_000_000_000; 2]);
    let extremes = "m f=1 9223372036854775807\nm f=1 -9223372036854775808";
    assert_eq!(at(Precision::Nanosecond, extremes), [i64::MAX, i64::MIN]);
}

#[test]
fn counts_of_accepted_lines() {
    let found = write(" m f=1 1 \nbad\nm f=2 2\n");
    assert_eq!(found.accepted_lines, 2);
    assert_eq!(found.accepted_bytes, "m f=1 1 ".len() + "m f=2 2".len());
}
