//! Vehicles on the move, for what the devops sets never have: rows that come late and out of order,
//! fields and tags that are absent, floats, strings and booleans.

use std::collections::BTreeMap;

use super::random::Random;
use super::{DataOptions, Rows, write_float, write_integer, write_time};

pub(super) const TABLES: u64 = 2;

const FLEETS: [&str; 4] = ["East", "West", "North", "South"];
const DRIVERS: [&str; 6] = ["Derek", "Rodney", "Albert", "Andy", "Seth", "Trish"];
const MODELS: [&str; 3] = ["F-150", "G-2000", "H-2"];

/// One row in so many comes late, and at most so many instants.
const LATE_ONE_IN: u64 = 20;
const LATE_INSTANTS_MAX: u64 = 360;
/// One vehicle in so many has no driver tag, one field in so many is absent.
const DRIVERLESS_ONE_IN: u64 = 10;
const ABSENT_ONE_IN: u64 = 25;

struct Vehicle {
    tags: String,
    latitude: f64,
    longitude: f64,
    velocity: f64,
    fuel: f64,
    load: u64,
}

impl Vehicle {
    fn new(number: u32, random: &mut Random) -> Self {
        let mut tags = format!(",name=truck_{number},fleet={}", random.pick(&FLEETS));
        let driver = random.pick(&DRIVERS);
        if !random.once_in(DRIVERLESS_ONE_IN) {
            tags += &format!(",driver={driver}");
        }
        tags += &format!(",model={}", random.pick(&MODELS));
        Self {
            tags,
            latitude: random.unit() * 180.0 - 90.0,
            longitude: random.unit() * 360.0 - 180.0,
            velocity: 0.0,
            fuel: 1.0,
            load: random.below(5000),
        }
    }

    fn step(&mut self, random: &mut Random) {
        self.latitude = (self.latitude + random.normal() * 0.01).clamp(-90.0, 90.0);
        self.longitude = (self.longitude + random.normal() * 0.01).clamp(-180.0, 180.0);
        self.velocity = (self.velocity + random.normal() * 5.0).clamp(0.0, 100.0);
        self.fuel = if self.fuel < 0.05 { 1.0 } else { self.fuel - random.unit() * 0.001 };
    }

    fn write_reading(&self, line: &mut Vec<u8>, random: &mut Random) {
        let fields = [
            ("latitude", self.latitude),
            ("longitude", self.longitude),
            ("velocity", self.velocity),
            ("elevation", self.latitude.abs() * 10.0),
            ("heading", self.longitude.abs()),
        ];
        line.extend_from_slice(format!("readings{} ", self.tags).as_bytes());
        let start = line.len();
        for (name, value) in fields {
            // The first field is always there: a row needs one.
            if line.len() > start && random.once_in(ABSENT_ONE_IN) {
                continue;
            }
            if line.len() > start {
                line.push(b',');
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            write_float(line, value, 5);
        }
    }

    fn write_diagnostics(&self, line: &mut Vec<u8>, random: &mut Random) {
        line.extend_from_slice(format!("diagnostics{} current_load=", self.tags).as_bytes());
        write_integer(line, self.load);
        if !random.once_in(ABSENT_ONE_IN) {
            line.extend_from_slice(b",fuel_state=");
            write_float(line, self.fuel, 4);
        }
        if !random.once_in(ABSENT_ONE_IN) {
            let moving = self.velocity > 1.0;
            line.extend_from_slice(format!(",moving={moving}").as_bytes());
        }
        if random.once_in(ABSENT_ONE_IN) {
            line.extend_from_slice(b",status=\"low tire pressure, left\"");
        }
    }
}

/// The rows of the data set.
pub(super) struct IotRows {
    vehicles: Vec<Vehicle>,
    random: Random,
    /// Which vehicle and table is next.
    next: u64,
    instant: u64,
    start_ns: u64,
    interval_ns: u64,
    /// Rows that are still to be made.
    rows_left: u64,
    /// Rows that were held back, by the instant at which they are sent.
    late: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl IotRows {
    pub(super) fn new(options: &DataOptions) -> Self {
        let mut random = Random::new(options.seed);
        Self {
            vehicles: (0..options.hosts).map(|n| Vehicle::new(n, &mut random)).collect(),
            random,
            next: 0,
            instant: 0,
            start_ns: options.start * 1_000_000_000,
            interval_ns: options.interval * 1_000_000_000,
            rows_left: options.row_count(),
            late: BTreeMap::new(),
        }
    }

    /// Makes the next row, wherever it goes.
    fn make(&mut self) -> Vec<u8> {
        let mut line = Vec::with_capacity(200);
        let (vehicle, table) = (self.next / TABLES, self.next % TABLES);
        let vehicle = &mut self.vehicles[vehicle as usize];
        if table == 0 {
            vehicle.write_reading(&mut line, &mut self.random);
        } else {
            vehicle.write_diagnostics(&mut line, &mut self.random);
            vehicle.step(&mut self.random);
        }
        write_time(&mut line, self.start_ns + self.instant * self.interval_ns);
        self.rows_left -= 1;
        self.next += 1;
        if self.next == self.vehicles.len() as u64 * TABLES {
            self.next = 0;
            self.instant += 1;
        }
        line
    }

    /// A row that was held back until now, or until the end.
    fn take_late(&mut self) -> Option<Vec<u8>> {
        let mut first = self.late.first_entry()?;
        if self.rows_left > 0 && *first.key() > self.instant {
            return None;
        }
        let row = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        row
    }
}

impl Rows for IotRows {
    fn write_line(&mut self, line: &mut Vec<u8>) -> bool {
        loop {
            if let Some(row) = self.take_late() {
                line.extend_from_slice(&row);
                return true;
            }
            if self.rows_left == 0 {
                return false;
            }
            let row = self.make();
            if !self.random.once_in(LATE_ONE_IN) {
                line.extend_from_slice(&row);
                return true;
            }
            let until = self.instant + 1 + self.random.below(LATE_INSTANTS_MAX);
            self.late.entry(until).or_default().push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::DataSet;
    use crate::generators::tests::text;

    #[test]
    fn some_rows_are_late_and_some_lack_tags_and_fields() {
        let text = text(&DataOptions::new(DataSet::Iot, 50, 3600));
        let times: Vec<u64> =
            text.lines().map(|l| l.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        let late = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(late > times.len() / 50, "{late} of {} come late", times.len());
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        let all = text.lines().count();
        assert!(count(",driver=") < all && count(",driver=") > all / 2);
        assert!(count("velocity=") < count("readings,"));
        assert!(count("status=\"") > 0);
        assert!(text.lines().all(|line| line.contains("latitude=") || line.contains("load=")));
    }

    #[test]
    fn every_row_is_sent_once() {
        let text = text(&DataOptions::new(DataSet::Iot, 30, 3600));
        let key = |line: &str| {
            let (series, time) = (line.split(' ').next(), line.rsplit(' ').next());
            (series.map(str::to_owned), time.map(str::to_owned))
        };
        let keys: std::collections::HashSet<_> = text.lines().map(key).collect();
        assert_eq!(keys.len(), text.lines().count());
        assert_eq!(keys.len(), 30 * 360 * 2);
    }
}
