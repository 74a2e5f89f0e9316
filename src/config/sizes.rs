//! Sizes and widths on the command line.

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

    /// `20%`, `512mb`, `1gb`, `4096b`; a bare number counts MB.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a size: use for example 20%, 512mb or 4gb");
        let lower = text.trim().to_ascii_lowercase();
        if let Some(percent) = lower.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            let valid = percent > 0.0 && percent <= 100.0;
            return valid.then_some(Self::Percent(percent)).ok_or_else(wrong);
        }
        let units = [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("b", 1)];
        let with_unit =
            units.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit)));
        let Some((number, unit)) = with_unit else {
            return lower.parse().map(Self::Unitless).map_err(|_| wrong());
        };
        let number: usize = number.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self::Bytes).ok_or_else(wrong)
    }
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
        check("7", Some(7 << 20));
        assert_eq!("7".parse(), Ok(MemorySize::Unitless(7)));
        check("0%", None);
        check("101%", None);
        check("x", None);
        check("-1", None);
        check("99999999999999999999gb", None);
    }

    #[test]
    fn chunks_have_one_of_three_widths() {
        assert_eq!("10m".parse(), Ok(Gen1Duration(Duration::from_secs(600))));
        assert_eq!("1min".parse(), Ok(Gen1Duration(Duration::from_secs(60))));
        let error = "2m".parse::<Gen1Duration>().unwrap_err();
        assert_eq!(error, "invalid gen1 duration 2m. Must be one of 1m, 5m, 10m");
    }
}
