//! Types, reserved names, repetitions, limits, and that a refused line leaves nothing behind.

use super::*;
use crate::schema::FieldType;

const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);

fn home() -> DatabaseSchema {
    database("home", &[("room", ColumnKind::Tag), ("temp", FLOAT)])
}

#[test]
fn types_never_change() {
    let clash = |column: &str, expected: &str, got: &str| {
        format!(
            "invalid column type for column '{column}', expected {expected}, got {got} (table 'm')"
        )
    };
    let cases = [
        ("m f=1 1\nm f=\"hi\" 2", clash("f", "float", "string")),
        ("m f=1i 1\nm f=1.0 2", clash("f", "integer", "float")),
        ("m f=1.0 1\nm f=1i 2", clash("f", "float", "integer")),
        ("m f=1.0 1\nm f=1u 2", clash("f", "float", "unsigned integer")),
        ("m f=t 1\nm f=1 2", clash("f", "boolean", "float")),
        ("m,t=a f=1 1\nm t=1 2", clash("t", "tag", "float")),
        ("m,t=a f=1 1\nm,f=a t=1 2", clash("f", "float", "tag")),
        ("m,f=a f=1", clash("f", "tag", "float")),
        ("m f=1,f=2i", clash("f", "float", "integer")),
        ("m f=1 1\nm time=1 2", clash("time", "timestamp", "float")),
        ("m f=1 1\nm,time=x f=1 2", clash("time", "timestamp", "tag")),
    ];
    for (body, text) in cases {
        assert_eq!(fault(body), text, "{body}");
    }
}

#[test]
fn the_catalog_counts_too() {
    let home = home();
    let body = "home,room=a temp=1 1\nhome,room=a temp=2i 2\nhome,temp=a room=1 3\n\
                home,floor=1 temp=4 4\nhome time=1 5";
    let found = write_to(&home, &options(), body);
    assert_eq!(
        messages(&found),
        [
            "invalid column type for column 'temp', expected float, got integer (table 'home')",
            "invalid column type for column 'temp', expected float, got tag (table 'home')",
            "invalid column type for column 'time', expected timestamp, got float (table 'home')",
        ]
    );
    let table = &found.tables[0];
    assert_eq!(table.known.as_ref().map(|known| known.id), Some(TableId(1)));
    let ids: Vec<_> = table.columns.iter().map(|c| (&*c.name, c.id)).collect();
    assert_eq!(ids, [("room", Some(ColumnId(10))), ("temp", Some(ColumnId(11))), ("floor", None)]);
    assert_eq!(values(table, "floor"), ["-", "1"]);
}

#[test]
fn reserved_names() {
    assert_eq!(fault("nt time=1 1"), "'time' is a reserved column");
    assert_eq!(fault("nt,time=x f=1 1"), "'time' is a reserved column");
    assert_eq!(fault("nt __chunk_order=1i 1"), "'__chunk_order' is a reserved column");
    assert_eq!(fault("nt f=1 1\nnt __chunk_order=1i 1"), "'__chunk_order' is a reserved column");
    assert!(write("nt time=1 1\nnt2,time=x f=1 1").tables.is_empty());
    assert_eq!(write("m Time=1,_time=2 1").accepted_lines, 1);
}

#[test]
fn repetitions() {
    let text =
        |name, what| format!("invalid line protocol - multiple instances of '{name}' {what} found");
    assert_eq!(fault("m usage=1,usage=2 1"), text("usage", "field"));
    assert_eq!(fault("m,t=a,t=b f=1 1"), text("t", "tag"));
    assert_eq!(fault("m,t=a,u=c,t=b f=1 1"), text("t", "tag"));
    assert_eq!(fault("m,t=a,t=b f=1,f=2 1"), text("f", "field"));
    assert_eq!(fault("m f=1,g=1 1\nm f=1,g=2,f=3 1"), text("f", "field"));
    let found = write("m,t=a,t=b f=1 1\nm,t=a f=1 1");
    assert_eq!(show(&found), ["m t=a f=1.0 1"]);
}

#[test]
fn scaling_comes_last() {
    let options = ParseOptions { precision: Precision::Second, ..options() };
    let body = "m f=1 9223372036854775807\nm f=1,f=2 9223372036854775807\nm f=1 1\n\
                m f=1 9223372036854775807";
    let found = parse(body.as_bytes(), None, &options).unwrap();
    let overflow = "timestamp, 9223372036854775807, out of range for precision: Second";
    assert_eq!(
        messages(&found),
        [overflow, "invalid line protocol - multiple instances of 'f' field found", overflow]
    );
    assert_eq!(found.accepted_lines, 1);
}

#[test]
fn refused_lines_leave_nothing() {
    let found =
        write("new,t=a f=1,f=2 1\nm,t=a f=1 1\nm,u=b f=1i 2\nm,t=b g=1,h=2i,f=1i 3\nx f=hi");
    assert_eq!(found.errors.len(), 4);
    assert_eq!(show(&found), ["m t=a f=1.0 1"]);
    let ColumnData::Tag { dictionary, .. } = &column(&found.tables[0], "t").data else {
        panic!("a tag")
    };
    assert_eq!(dictionary.len(), 1);
    // What only a refused line named is free to be anything later.
    let again = write("m,t=a f=1,f=2 1\nm t=1,f=\"x\" 1");
    assert_eq!(show(&again), ["m t=1.0 f=\"x\" 1"]);
}

#[test]
fn limit_of_tables() {
    let limits = SchemaLimits { tables: Some(5), ..SchemaLimits::default() };
    let options = ParseOptions { limits, live_tables: 4, ..options() };
    let found = write_to(&home(), &options, "a f=1\nb f=1\nhome temp=1\na f=2\nc f=1");
    let text = "Update to schema would exceed number of tables limit: attempted to create table \
                but already have 5 table(s) (limit: 5)";
    assert_eq!(messages(&found), [text, text]);
    assert!(found.errors.iter().all(|error| error.is_limit));
    assert_eq!(found.accepted_lines, 3);
    // A table that a refused line named does not count.
    let found = write_to(&home(), &options, "a f=hi\na f=1,f=2\nb f=1");
    assert_eq!((found.errors.len(), found.accepted_lines), (2, 1));
}

#[test]
fn limit_of_columns() {
    let limits = SchemaLimits {
        columns_per_table: Some(500),
        tag_columns_per_table: Some(3),
        ..SchemaLimits::default()
    };
    let options = ParseOptions { limits, ..options() };
    let line = |fields: usize| {
        let fields: Vec<String> = (0..fields).map(|i| format!("f{i}=1")).collect();
        format!("m {}", fields.join(","))
    };
    let parse = |body: &str| parse(body.as_bytes(), None, &options).unwrap();
    assert_eq!(parse(&line(500)).accepted_lines, 1);
    let over = parse(&line(501));
    let text = "Update to schema would exceed number of columns per table limit of 500 columns";
    assert_eq!(messages(&over), [text]);
    assert!(over.errors[0].is_limit && over.tables.is_empty());
    let later = parse(&format!("{}\nm,t=a f0=1\n{}\nm f7=2", line(500), line(500)));
    assert_eq!((messages(&later), later.accepted_lines), (vec![text], 3));
    let tags = parse("m,a=1,b=1,c=1 f=1\nm,a=1,d=1 f=1");
    assert_eq!(
        messages(&tags),
        ["Update to schema would exceed number of tag columns per table limit of 3 columns"]
    );
    // Columns in the catalog count, whether the request names them or not.
    let limits = SchemaLimits { columns_per_table: Some(3), ..SchemaLimits::default() };
    let found =
        write_to(&home(), &ParseOptions { limits, ..options }, "home a=1\nhome b=1\nhome temp=1");
    assert_eq!((found.errors.len(), found.accepted_lines), (1, 2));
}

#[test]
fn immutable_tags() {
    let options = ParseOptions { immutable_tags: true, ..options() };
    let body = "home,room=a,floor=1 temp=1 1\nhome,room=a temp=1,new=2 2\nother,a=1 f=1\n\
                other,a=1,b=2 f=1";
    let found = write_to(&home(), &options, body);
    assert_eq!(
        messages(&found),
        ["Detected a new tag 'floor' in write. The tag set is immutable on first write to the \
          table."]
    );
    assert!(!found.errors[0].is_limit);
    assert_eq!(found.accepted_lines, 3);
}

#[test]
fn oldest_accepted_time() {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let options = ParseOptions { oldest_ns: Some(NOW_NS - 72 * HOUR_NS), ..options() };
    let old = NOW_NS - 73 * HOUR_NS;
    let good = NOW_NS - 71 * HOUR_NS;
    let ahead = NOW_NS + HOUR_NS;
    let body = format!(
        "home temp=1 {old}\nhome temp=1 {good}\nhome temp=1 {ahead}\nhome temp=1 {old}\n\
         new f=1 {old}\nnew f=1 {old}\nhome temp=1"
    );
    let found = write_to(&home(), &options, &body);
    let text = "line contained a date that was more than 3 days ago";
    assert_eq!(messages(&found), [text, text]);
    assert_eq!(found.accepted_lines, 5);
}

#[test]
fn deleted_tables_are_not_known() {
    let mut home = home();
    let deletion =
        crate::schema::Deletion { deleted_at_ns: 0, hard_delete_at_ns: None, rows_removed: false };
    for table in home.tables.values_mut() {
        let columns = table.columns.clone();
        *table =
            Arc::new(TableSchema::new(table.id, Arc::clone(&table.name), columns, Some(deletion)));
    }
    let found = write_to(&home, &options(), "home temp=\"now a text\" 1");
    assert_eq!(found.accepted_lines, 1);
    assert!(found.tables[0].known.is_none());
}
