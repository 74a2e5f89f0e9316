//! Bins of the clock on the wall, and all bins of a range.

use super::super::bins::BinRange;
use super::*;

#[tokio::test]
async fn wallclock_bins_follow_the_clock() {
    // In Paris the clock jumps from 2 to 3 at 01:00Z on 2024-03-31, and back on 2024-10-27.
    let spring = 1_711_843_200_000_000_000; // 2024-03-31T00:00Z
    let autumn = 1_729_987_200_000_000_000; // 2024-10-27T00:00Z
    let day = |name: &str, stride: &str, day: &str| {
        format!(
            "SELECT {name}(INTERVAL '{stride}', tz(time, 'Europe/Paris')) AS t, count(v) FROM home \
             WHERE time >= '{day}T00:00:00+0X:00' AND time < '{day}T23:59:59+0Y:00' GROUP BY t"
        )
    };
    let in_spring =
        |name, stride| day(name, stride, "2024-03-31").replace("+0X", "+01").replace("+0Y", "+02");
    let in_autumn =
        |name, stride| day(name, stride, "2024-10-27").replace("+0X", "+02").replace("+0Y", "+01");
    let wallclock = "date_bin_wallclock_gapfill";
    for (at, sql, bins) in [
        (spring, in_spring(wallclock, "1 hour"), 23),
        (autumn, in_autumn(wallclock, "1 hour"), 25),
        (spring, in_spring("date_bin_gapfill", "1 hour"), 23),
        (autumn, in_autumn("date_bin_gapfill", "1 hour"), 25),
        (spring, in_spring(wallclock, "1 day"), 1),
        (autumn, in_autumn(wallclock, "1 day"), 1),
        (spring, in_spring(wallclock, "2 hours"), 12),
        (autumn, in_autumn(wallclock, "2 hours"), 12),
        (spring, in_spring(wallclock, "15 minutes"), 23 * 4),
        (autumn, in_autumn(wallclock, "15 minutes"), 25 * 4),
    ] {
        let rows = rows_of(times(&[at + 90 * MINUTE_NS]), &sql).await.unwrap();
        assert_eq!(rows.len(), bins, "{sql}: {rows:#?}");
        assert_eq!(rows.iter().filter(|row| row.ends_with("|1")).count(), 1, "{sql}");
    }
    let rows = rows_of(times(&[spring + 90 * MINUTE_NS]), &in_spring(wallclock, "2 hours")).await;
    let expected = [
        "2024-03-31T00:00:00+01:00|0",
        "2024-03-31T03:00:00+02:00|1",
        "2024-03-31T04:00:00+02:00|0",
    ];
    assert_eq!(rows.unwrap()[..3], expected);
    let rows = rows_of(times(&[autumn + 90 * MINUTE_NS]), &in_autumn(wallclock, "1 hour")).await;
    let expected = [
        "2024-10-27T01:00:00+02:00|0",
        "2024-10-27T02:00:00+02:00|0",
        "2024-10-27T02:00:00+01:00|1",
        "2024-10-27T03:00:00+01:00|0",
    ];
    assert_eq!(rows.unwrap()[1..5], expected);
}

#[tokio::test]
async fn wallclock_bins_of_rows() {
    for (stride, time, bin) in [
        ("2 hours", "2024-03-31T01:30:00Z", "2024-03-31T03:00:00+02:00"),
        ("2 hours", "2024-10-27T01:30:00Z", "2024-10-27T02:00:00+02:00"),
        ("1 hour", "2024-10-27T00:30:00Z", "2024-10-27T02:00:00+02:00"),
        ("1 hour", "2024-10-27T01:30:00Z", "2024-10-27T02:00:00+01:00"),
        ("1 day", "2024-03-31T10:00:00Z", "2024-03-31T00:00:00+01:00"),
        ("1 month", "2024-03-31T10:00:00Z", "2024-03-01T00:00:00+01:00"),
        ("1 year", "2024-07-31T10:00:00Z", "2024-01-01T00:00:00+01:00"),
    ] {
        let sql = format!(
            "SELECT date_bin_wallclock(INTERVAL '{stride}', tz('{time}', 'Europe/Paris')), \
             date_bin_wallclock('{stride}', max(tz(time, 'Europe/Paris'))) FROM home"
        );
        let rows = rows_of(times(&[0]), &sql).await.unwrap();
        assert!(rows[0].starts_with(&format!("{bin}|")), "{sql}: {rows:?}");
    }
    for (call, expected) in [
        (
            "INTERVAL '12 hours', tz('2024-10-27T01:30:00Z', 'Europe/Paris'), \
             '1970-01-01T06:00:00'::timestamp",
            "2024-10-26T18:00:00+02:00",
        ),
        ("INTERVAL '1 hour', '2024-10-27T01:30:00Z'::timestamp", "2024-10-27T01:00:00"),
        ("INTERVAL '1 hour', NULL", ""),
        ("NULL, tz('2024-10-27T01:30:00Z', 'Europe/Paris')", ""),
    ] {
        check(&format!("SELECT date_bin_wallclock({call})"), &[expected]).await;
    }
    check_error(
        "SELECT date_bin_wallclock(INTERVAL '0 hours', tz(time, 'Europe/Paris')) FROM home",
        ErrorKind::InvalidInput,
        "DATE_BIN stride must be non-zero",
    )
    .await;
}

/// The bins of a range are exactly those that its instants are in, also where the clock changes.
#[test]
fn all_bins_of_a_range_come_in_order() {
    let changes = [
        ("Europe/Paris", 1_711_846_800),
        ("Europe/Paris", 1_729_990_800),
        ("Australia/Lord_Howe", 1_712_415_600),
        ("Australia/Lord_Howe", 1_728_142_200),
        ("Pacific/Apia", 1_325_239_200),
    ];
    for (zone, change_s) in changes {
        let change = change_s * 1_000_000_000;
        for minutes in [7, 15, 30, 45, 50, 60, 90, 120, 1440] {
            let range = BinRange {
                stride_ns: minutes * MINUTE_NS,
                origin_ns: 0,
                zone: Some(zone.into()),
                first_ns: change - 30 * HOUR_NS,
                last_ns: change + 30 * HOUR_NS,
            };
            let mut bins = range.bins().unwrap();
            let mut found = Vec::new();
            while let Some(bin) = bins.peek() {
                found.push(bin);
                bins.advance();
            }
            let one = |at| BinRange { first_ns: at, last_ns: at, ..range.clone() };
            let instants = (range.first_ns..=range.last_ns).step_by(MINUTE_NS as usize);
            let mut expected: Vec<_> =
                instants.map(|at| one(at).bins().unwrap().peek().unwrap()).collect();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(found, expected, "{zone} {change_s} {minutes}");
        }
    }
}
