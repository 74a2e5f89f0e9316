//! The hosts of the devops sets: ten tags each, drawn once and kept.

use super::random::Random;

const REGIONS: [(&str, &[&str]); 9] = [
    ("us-east-1", &["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1e"]),
    ("us-west-1", &["us-west-1a", "us-west-1b"]),
    ("us-west-2", &["us-west-2a", "us-west-2b", "us-west-2c"]),
    ("eu-west-1", &["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
    ("eu-central-1", &["eu-central-1a", "eu-central-1b"]),
    ("ap-southeast-1", &["ap-southeast-1a", "ap-southeast-1b"]),
    ("ap-southeast-2", &["ap-southeast-2a", "ap-southeast-2b"]),
    ("ap-northeast-1", &["ap-northeast-1a", "ap-northeast-1c"]),
    ("sa-east-1", &["sa-east-1a", "sa-east-1b", "sa-east-1c"]),
];
const RACKS: u64 = 100;
const OPERATING_SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const ARCHITECTURES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const SERVICES: u64 = 20;
const SERVICE_VERSIONS: u64 = 2;
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];

/// The tags of a host as they stand behind a table's name: `,hostname=…,service_environment=…`.
pub(crate) fn tags(number: u32, random: &mut Random) -> String {
    let (region, datacenters) = random.pick(&REGIONS);
    format!(
        ",hostname=host_{number},region={region},datacenter={},rack={},os={},arch={},team={},\
         service={},service_version={},service_environment={}",
        random.pick(datacenters),
        random.below(RACKS),
        random.pick(&OPERATING_SYSTEMS),
        random.pick(&ARCHITECTURES),
        random.pick(&TEAMS),
        random.below(SERVICES),
        random.below(SERVICE_VERSIONS),
        random.pick(&ENVIRONMENTS),
    )
}
