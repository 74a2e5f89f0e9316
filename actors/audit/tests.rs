//! What is kept, how it is written, and what is said when it is not.

use super::actor::Audit;
use super::file::RotatedFile;
use super::target::{AuditTarget, Sink};
use crate::runtime::clock::Clock;
use crate::runtime::pools::Pool;
use protocols::limits;
use protocols::messages::audit::AuditEntry;
use protocols::principal::{Origin, Principal};
use std::fs;
use std::path::Path;

fn entry(object: impl Into<String>) -> AuditEntry {
    AuditEntry::new(1, (&Principal::Everybody, Origin::default()), "create_database", object)
}

fn file(path: &Path, bytes_max: u64, kept: usize) -> AuditTarget {
    AuditTarget::File(RotatedFile { path: path.to_owned(), bytes_max, kept })
}

fn audit(target: AuditTarget) -> Audit {
    Audit::new(target, Clock::System, Pool::new("audit", 1, 4).unwrap())
}

#[test]
fn the_newest_entries_stay() {
    let mut audit = audit(AuditTarget::None);
    for number in 0..limits::AUDIT_ENTRIES_MAX + 7 {
        audit.keep(entry(number.to_string()));
    }
    assert_eq!(audit.objects().len(), limits::AUDIT_ENTRIES_MAX);
    assert_eq!(audit.objects()[0], "7");
    for _ in 0..limits::AUDIT_ENTRIES_MAX {
        audit.keep(entry("x").with_detail("y".repeat(16 * 1024)));
    }
    let kept = audit.objects().len();
    assert!(kept < limits::AUDIT_ENTRIES_MAX / 8, "{kept}");
}

#[test]
fn losses_are_said_once() {
    let mut audit = audit(AuditTarget::None);
    audit.tell_of_losses(0);
    assert!(audit.objects().is_empty());
    audit.tell_of_losses(3);
    audit.tell_of_losses(3);
    assert_eq!(audit.objects(), ["audit"]);
    audit.tell_of_losses(4);
    assert_eq!(audit.objects().len(), 1, "not each by itself");
}

#[test]
fn full_files_are_kept_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let target = file(&path, 10, 2);
    target.check().unwrap();
    let mut sink = Sink::open(&target).unwrap().unwrap();
    for line in ["one\n", "two\n", "three\n", "a line that is longer\n", "five\n", "six\n"] {
        sink.append(line.as_bytes()).unwrap();
    }
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("audit.log"), "five\nsix\n");
    assert_eq!(text("audit.log.1"), "a line that is longer\n");
    assert_eq!(text("audit.log.2"), "three\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "the oldest is gone");
}

#[test]
fn a_torn_line_does_not_swallow_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, "{\"to").unwrap();
    let mut sink = Sink::open(&file(&path, 1 << 20, 1)).unwrap().unwrap();
    sink.append(b"whole\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"to\nwhole\n");
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut sink = Sink::open(&file(&path, 4, 1)).unwrap().unwrap();
    sink.append(b"one\n").unwrap();
    sink.append(b"two\n").unwrap();
    for name in ["audit.log", "audit.log.1"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(file(&folder.path().join("no/such"), 4, 1).check().is_err());
}
