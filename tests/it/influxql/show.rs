//! Lists, faults, and the words of the language.

use super::{EMPTY, check};

#[test]
fn show_measurements() {
    check(&[
        (
            "SHOW MEASUREMENTS",
            200,
            "iox::measurement,name\nmeasurements,m0\nmeasurements,m1\nmeasurements,m2",
        ),
        (
            "SHOW MEASUREMENTS WITH MEASUREMENT =~ /m[12]/ LIMIT 1",
            200,
            "iox::measurement,name\nmeasurements,m1",
        ),
        (
            "SHOW MEASUREMENTS WHERE tag0='val02'",
            200,
            "iox::measurement,name\nmeasurements,m0\nmeasurements,m1",
        ),
    ]);
}

#[test]
fn show_tag_values() {
    check(&[
        (
            "SHOW TAG VALUES WITH KEY = tag0",
            200,
            "iox::measurement,key,value\nm0,tag0,val00\nm0,tag0,val01\nm0,tag0,val02\n\
             m1,tag0,val00\nm1,tag0,val02\nm2,tag0,val00",
        ),
        (
            "SHOW TAG VALUES FROM m0 WITH KEY = tag0 WHERE time > '2065-01-01' LIMIT 1 OFFSET 1",
            200,
            "iox::measurement,key,value\nm0,tag0,val01",
        ),
        (
            "SHOW TAG VALUES WITH KEY =~ /tag/ WHERE time > '2065-01-01' AND tag0='val01'",
            200,
            "iox::measurement,key,value\nm0,tag0,val01\nm0,tag1,x\nm0,tag1,y",
        ),
    ]);
}

#[test]
fn words_and_comments() {
    check(&[
        (
            "select /* c */ F64, f64 as \"select\" from m1 limit 1 -- end",
            200,
            "iox::measurement,time,F64,select\nm1,17:00:00,,100.5",
        ),
        (
            "SELECT MEAN(f64) FROM m0",
            200,
            "iox::measurement,time,mean\nm0,1970-01-01T00:00:00,15.174999999999999",
        ),
        (
            "SELECT name FROM m0",
            400,
            "error in InfluxQL statement: parsing error: invalid SELECT statement, expected field at pos 7",
        ),
        ("SELECT \"name\" FROM m0", 200, EMPTY),
    ]);
}
