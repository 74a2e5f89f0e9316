//! Instants as text: only what queries, their answers and reports need.

/// Days since 1970-01-01 of a civil date. The algorithm is Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day since 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// `2016-01-01`, of seconds since 1970.
pub(crate) fn date(seconds: i64) -> String {
    let (year, month, day) = date_of(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2016-01-01T00:00:00Z`, of seconds since 1970.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(seconds))
}

/// Nanoseconds since 1970 of `2016-01-01T00:00:00`, with or without a fraction, with or without a Z.
pub(crate) fn parse_ns(text: &str) -> Option<i64> {
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let days = days_of(date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let seconds = time.next()?? * 3600 + time.next()?? * 60 + time.next()??;
    let fraction: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    (days * 86_400 + seconds).checked_mul(1_000_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_back() {
        for seconds in [0, 1_451_606_400, 1_456_790_399, -1, 951_782_400, 4_107_542_399] {
            let text = rfc3339(seconds);
            assert_eq!(parse_ns(&text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(rfc3339(1_451_606_400), "2016-01-01T00:00:00Z");
    }

    #[test]
    fn fractions_and_damaged_texts() {
        assert_eq!(parse_ns("1970-01-01T00:00:01.5"), Some(1_500_000_000));
        assert_eq!(parse_ns("1970-01-01 00:00:00.000000001"), Some(1));
        for text in ["", "1970-01-01", "1970-01-01T00:00", "now", "1970-xx-01T00:00:00"] {
            assert_eq!(parse_ns(text), None, "{text}");
        }
    }
}
