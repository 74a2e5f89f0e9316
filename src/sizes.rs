//! Sizes and widths on the command line. Read here and not by a library, because these take `MB` for
//! a million bytes, and know neither shares of the memory nor numbers without a unit.

use protocols::durations::parse_duration;
use std::str::FromStr;
use std::time::Duration;

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemorySize {
    /// So many bytes.
    Bytes(usize),
    /// So many MB, given without a unit.
    Unitless(usize),
    /// So many hundredths of the memory there is.
    Percent(f64),
}

impl MemorySize {
    /// The amount in bytes on a machine with `memory` bytes.
    pub fn of(self, memory: usize) -> usize {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unitless(megabytes) => megabytes.saturating_mul(1 << 20),
            Self::Percent(percent) => (memory as f64 * percent / 100.0) as usize,
        }
    }
}

impl FromStr for MemorySize {
    type Err = String;

    /// `20%`, `512mb`, `1.5gb`, `4096b`; a bare number counts MB.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a size: use for example 20%, 512mb or 4gb");
        if let Some(percent) = text.trim().strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            let valid = percent > 0.0 && percent <= 100.0;
            return valid.then_some(Self::Percent(percent)).ok_or_else(wrong);
        }
        match number_and_unit(text) {
            (number, None) => number.parse().map(Self::Unitless).map_err(|_| wrong()),
            (number, Some(unit)) => scaled(number, unit).map(Self::Bytes).ok_or_else(wrong),
        }
    }
}

/// Reads a number of bytes from 1 on: `20MB`, `64kb`, `1.5 GiB`; a bare number counts bytes.
///
/// # Errors
/// When it is none; the text says how to write one.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = number_and_unit(text);
    match scaled(number, unit.unwrap_or(1)) {
        Some(0) => Err("value must be at least 1".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err(format!("'{text}' is not a size: use for example 20mb, 64kb or 10485760")),
    }
}

/// Like [`parse_bytes`], for the largest request: offsets into its texts have 31 bits.
///
/// # Errors
/// When it is none, or too large.
pub fn parse_body_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text)?;
    let fits = i32::try_from(bytes).is_ok();
    fits.then_some(bytes).ok_or_else(|| "value must be less than 2 GiB".to_owned())
}

/// Cuts a unit off; units count in steps of 1024.
fn number_and_unit(text: &str) -> (&str, Option<usize>) {
    let text = text.trim();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        // Among them none: what stands there is no number then.
        _ => return (text, None),
    };
    (number.trim_end(), Some(unit))
}

fn scaled(number: &str, unit: usize) -> Option<usize> {
    // Neither a sign nor an exponent, which the parsers of numbers would read.
    if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(whole) = number.parse::<usize>() {
        return whole.checked_mul(unit);
    }
    let bytes =
        number.parse::<f64>().ok().filter(|_| number.contains('.') && unit > 1)? * unit as f64;
    (bytes < usize::MAX as f64).then_some(bytes.round() as usize)
}

/// Width of a chunk by row time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gen1Duration(pub Duration);

impl FromStr for Gen1Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minutes = parse_duration(text).ok().map(|d| d.as_secs_f64() / 60.0);
        match minutes {
            Some(1.0 | 5.0 | 10.0) => Ok(Self(parse_duration(text)?)),
            _ => Err(format!("invalid gen1 duration {text}. Must be one of 1m, 5m, 10m")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, bytes: Option<usize>) {
        assert_eq!(text.parse::<MemorySize>().ok().map(|s| s.of(1000)), bytes, "{text}");
    }

    #[test]
    fn sizes_take_units_and_percent() {
        check("20%", Some(200));
        check("512b", Some(512));
        check("4kb", Some(4096));
        check("1GB", Some(1 << 30));
        check(" 1.5 GiB ", Some(3 << 29));
        check("2t", Some(2 << 40));
        check("1.5", None);
        check("1e3mb", None);
        check("mb", None);
        check("7", Some(7 << 20));
        assert_eq!("7".parse(), Ok(MemorySize::Unitless(7)));
        check("0%", None);
        check("101%", None);
        check("x", None);
        check("-1", None);
        check("99999999999999999999gb", None);
    }

    #[test]
    fn bytes_need_no_unit() {
        for (text, bytes) in [
            ("10485760", 10_485_760),
            ("20MB", 20 << 20),
            ("64kb", 64 << 10),
            ("0.5M", 1 << 19),
            ("1b", 1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "+1kb", "1.5", "20%", "1 m b", "99999999999999999999gb", "1xb"]
        {
            assert!(parse_bytes(text).unwrap_err().contains("is not a size"), "{text}");
        }
        assert_eq!(parse_bytes("0kb"), Err("value must be at least 1".to_owned()));
    }

    #[test]
    fn chunks_have_one_of_three_widths() {
        assert_eq!("10m".parse(), Ok(Gen1Duration(Duration::from_secs(600))));
        assert_eq!("1min".parse(), Ok(Gen1Duration(Duration::from_secs(60))));
        let error = "2m".parse::<Gen1Duration>().unwrap_err();
        assert_eq!(error, "invalid gen1 duration 2m. Must be one of 1m, 5m, 10m");
    }
}
