//! Durations as people write them: `10s`, `1min 30sec`, `3 hours`, `7d`, `1.5h`.

use std::time::Duration;

const SECOND_NS: u128 = 1_000_000_000;
const DAY_NS: u128 = 86_400 * SECOND_NS;

/// What [`format_exact`] prints for "no limit".
pub const INFINITE: &str = "infinite";

/// The units of [`format_exact`], in nanoseconds and largest first: the first that divides the
/// value is taken. Weeks and longer are left out, so that seven days read `7d`.
pub const EXACT_UNITS: [(u64, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// Reads one or more `<number><unit>` pairs and adds them up.
///
/// Blanks may stand anywhere between numbers and units, a number may have a decimal fraction as
/// long as the result is a whole number of nanoseconds, and a lone `0` needs no unit. A month is
/// 30.44 days and a year 365.25 days.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("duration is empty".to_owned());
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let (number, after_number) = take_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after_unit) = take_while(after_number.trim_start(), char::is_alphabetic);
        let unit_ns = unit_ns(number, unit, rest)?;
        total_ns = scale(number, unit_ns)
            .and_then(|ns| total_ns.checked_add(ns))
            .ok_or_else(|| format!("`{text}` is too long or finer than a nanosecond"))?;
        rest = after_unit.trim_start();
    }
    let seconds = u64::try_from(total_ns / SECOND_NS);
    let nanos = u32::try_from(total_ns % SECOND_NS);
    match (seconds, nanos) {
        (Ok(seconds), Ok(nanos)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(format!("`{text}` is too long")),
    }
}

/// The duration in the largest unit from days to nanoseconds that is exact: `7d`, `12h`, `90s`.
/// `None` is [`INFINITE`].
pub fn format_exact(duration_ns: Option<u64>) -> String {
    match duration_ns {
        None => INFINITE.to_owned(),
        Some(0) => "0s".to_owned(),
        Some(ns) => EXACT_UNITS
            .iter()
            .find(|(unit_ns, _)| ns.is_multiple_of(*unit_ns))
            .map_or_else(|| format!("{ns}ns"), |(unit_ns, name)| format!("{}{name}", ns / unit_ns)),
    }
}

fn take_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// The length of `unit`, or why the pair that starts `rest` is not one.
fn unit_ns(number: &str, unit: &str, rest: &str) -> Result<u128, String> {
    if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return Err(format!("expected a number at `{rest}`"));
    }
    if unit.is_empty() {
        return Err(format!("time unit needed, for example {number}s or {number}min"));
    }
    Ok(match unit {
        "ns" | "nsec" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "usec" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND_NS,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND_NS,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600 * SECOND_NS,
        "d" | "day" | "days" => DAY_NS,
        "w" | "wk" | "wks" | "week" | "weeks" => 7 * DAY_NS,
        "M" | "month" | "months" => 2_630_016 * SECOND_NS,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600 * SECOND_NS,
        _ => {
            return Err(format!(
                "unknown time unit `{unit}`, units are ns, us, ms, s, m, h, d, w, M (month), y"
            ));
        }
    })
}

/// `number` times `unit_ns`; nothing if that is not a whole number or does not fit.
fn scale(number: &str, unit_ns: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole_ns = whole.parse::<u128>().ok()?.checked_mul(unit_ns)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Some(whole_ns);
    }
    let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction_ns = fraction.parse::<u128>().ok()?.checked_mul(unit_ns)?;
    fraction_ns.is_multiple_of(parts).then(|| whole_ns.checked_add(fraction_ns / parts))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: u64, nanos: u32) {
        assert_eq!(parse_duration(text), Ok(Duration::new(seconds, nanos)), "{text}");
    }

    #[test]
    fn each_unit_in_its_spellings() {
        check("5ns", 0, 5);
        check("5 nanoseconds", 0, 5);
        check("5us", 0, 5_000);
        check("5µs", 0, 5_000);
        check("5ms", 0, 5_000_000);
        check("10s", 10, 0);
        check("10 seconds", 10, 0);
        check("2m", 120, 0);
        check("3 hours", 10_800, 0);
        check("7d", 604_800, 0);
        check("2w", 1_209_600, 0);
        check("1M", 2_630_016, 0);
        check("1month", 2_630_016, 0);
        check("1y", 31_557_600, 0);
    }

    #[test]
    fn pairs_add_up_with_and_without_blanks() {
        check("1min 30sec", 90, 0);
        check("1h30m", 5_400, 0);
        check(" 1d 6h ", 108_000, 0);
        check("999ms 1ms", 1, 0);
    }

    #[test]
    fn fractions_must_be_exact() {
        check("1.5h", 5_400, 0);
        check("0.25s", 0, 250_000_000);
        check("1.50s", 1, 500_000_000);
        assert!(parse_duration("0.5ns").is_err());
        assert!(parse_duration("1.s").is_err());
        assert!(parse_duration("1.2.3s").is_err());
    }

    #[test]
    fn zero_needs_no_unit() {
        check("0", 0, 0);
        check("0s", 0, 0);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "  ", "5", "d", "7 x", "-1d", "1d,2h", "1e3s", "none", ".5s", "7D"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999999y").is_err());
        assert!(parse_duration(&format!("{}s", "9".repeat(60))).is_err());
    }

    #[test]
    fn the_largest_exact_unit_is_shown() {
        let check = |duration: &str, shown: &str| {
            let ns = parse_duration(duration).expect("test durations are valid").as_nanos();
            assert_eq!(format_exact(u64::try_from(ns).ok()), shown);
        };
        check("1w", "7d");
        check("12h", "12h");
        check("36h", "36h");
        check("30m", "30m");
        check("45s", "45s");
        check("90s", "90s");
        check("1500ms", "1500ms");
        check("1us", "1us");
        check("1001ns", "1001ns");
        check("0", "0s");
        assert_eq!(format_exact(None), "infinite");
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        for ns in [1, 999, 1_000, 60_000_000_000, 604_800_000_000_000, u64::MAX] {
            let read = parse_duration(&format_exact(Some(ns))).expect("own output");
            assert_eq!(read.as_nanos(), u128::from(ns));
        }
    }
}
