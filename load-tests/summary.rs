//! The table of a comparison: medians over the runs of each server, the first against the second.

use std::fmt::Write;

use crate::latency::Percentiles;
use crate::loader::Load;
use crate::report::Record;

/// A row of the table: its heading, its decimals, and how to find its value in a load.
type Measure = (&'static str, usize, fn(&Load) -> Option<f64>);

const MEASURES: [Measure; 6] = [
    ("rows/s", 0, |load| Some(load.rows_per_second)),
    ("rows per CPU-second", 0, |load| load.rows_per_cpu_second),
    ("peak RSS, MiB", 0, |load| load.server.as_ref().map(|used| used.rss_peak_mib)),
    ("request p50, ms", 2, |load| latency(load, |seen| seen.p50_ms)),
    ("request p99, ms", 2, |load| latency(load, |seen| seen.p99_ms)),
    ("errors", 0, |load| Some(load.errors as f64)),
];

fn latency(load: &Load, value: fn(&Percentiles) -> f64) -> Option<f64> {
    load.latency.as_ref().map(value)
}

/// Markdown, ready to be pasted into the table of results.
pub(crate) fn render(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        if let Record::Machine(machine) = record {
            text += &format!("Machine: {machine}\n\n");
        }
    }
    render_loads(records, &mut text);
    for record in records {
        match record {
            Record::LoneWriter(_) => text += &format!("\nOne row a request:\n\n{record}\n"),
            Record::Query(_) => text += &format!("\n{record}\n"),
            Record::Machine(_) | Record::Load(_) => {}
        }
    }
    text
}

fn render_loads(records: &[Record], text: &mut String) {
    let loads: Vec<&Load> = records
        .iter()
        .filter_map(|record| match record {
            Record::Load(load) => Some(load),
            _ => None,
        })
        .collect();
    let mut labels: Vec<&str> = Vec::new();
    for load in &loads {
        if !labels.contains(&load.label.as_str()) {
            labels.push(&load.label);
        }
    }
    if labels.is_empty() {
        return;
    }
    let runs = loads.iter().filter(|load| load.label == labels[0]).count();

    *text += &format!("| median of {runs} |");
    labels.iter().for_each(|label| *text += &format!(" {label} |"));
    *text += " ratio |\n|---|";
    labels.iter().for_each(|_| *text += "---:|");
    *text += "---:|\n";
    for (heading, decimals, value) in MEASURES {
        let medians: Vec<Option<f64>> = labels
            .iter()
            .map(|label| {
                median(
                    loads.iter().filter(|load| load.label == *label).filter_map(|load| value(load)),
                )
            })
            .collect();
        *text += &format!("| {heading} |");
        medians.iter().for_each(|median| write_cell(text, *median, decimals));
        let ratio = match medians[..] {
            [Some(ours), Some(peer)] if peer > 0.0 => Some(ours / peer),
            _ => None,
        };
        write_cell(text, ratio, 2);
        text.push('\n');
    }
}

fn write_cell(text: &mut String, value: Option<f64>, decimals: usize) {
    match value {
        Some(value) => write!(text, " {value:.decimals$} |"),
        None => write!(text, " – |"),
    }
    .expect("writing to memory does not fail");
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn the_first_server_is_divided_by_the_second() {
        let load = |label: &str, rows_per_second: f64| {
            Record::Load(Load {
                label: label.to_owned(),
                rows: 10,
                seconds: 1.0,
                rows_per_second,
                megabytes_per_second: 1.0,
                errors: 0,
                first_error: None,
                retries: 0,
                latency: None,
                client_cpu_seconds: 0.1,
                server: None,
                rows_per_cpu_second: None,
            })
        };
        let records =
            [load("a", 30.0), load("b", 10.0), load("b", 12.0), load("a", 36.0), load("a", 33.0)];
        let text = render(&records);
        assert!(text.contains("| median of 3 | a | b | ratio |"), "{text}");
        assert!(text.contains("| rows/s | 33 | 11 | 3.00 |"), "{text}");
        assert!(text.contains("| rows per CPU-second | – | – | – |"), "{text}");
    }
}
