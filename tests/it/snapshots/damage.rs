//! Objects that are not as they were written: the server says so and names them. It never goes on
//! with half of its catalog or index, nor with rows that nobody wrote.

use super::model::{DB, Model};
use super::stage::{eager, files, object, objects, persist_everything, small};
use crate::support::server::{Server, Setup};
use flate2::Crc;
use std::fs;
use std::path::{Path, PathBuf};

/// Stopped, with rows in files and in the log.
fn prefilled() -> (Setup, Model) {
    let server = small().start();
    let mut model = Model::default();
    model.take_snapshots(&server.client, 2);
    model.steps(&server.client, 1);
    (server.stopped(), model)
}

/// Damages a file in all sorts of ways, and puts it back in the end. `expect` gets the name of the
/// file, and what was done to it.
fn damaged(file: &Path, expect: impl Fn(&str, &str)) {
    let intact = fs::read(file).expect("readable");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    for at in [0, intact.len() / 3, intact.len() / 2, intact.len() - 1] {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x08;
        fs::write(file, &bytes).expect("writable");
        expect(&name, &format!("flipped a bit at {at}"));
    }
    for length in [0, 5, intact.len() - 1] {
        fs::write(file, &intact[..length]).expect("writable");
        expect(&name, &format!("cut off at {length}"));
    }
    fs::write(file, intact).expect("writable");
}

fn refused(setup: &Setup, name: &str, what: &str) {
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{what}: {log}");
    assert!(log.contains("Serve command failed: ") && log.contains(name), "{what}: {log}");
}

fn last(setup: &Setup, folder: &str, ending: &str) -> PathBuf {
    let mut names = objects(setup, folder);
    names.retain(|name| name.ends_with(ending));
    object(setup, folder, &names.pop().expect("an object"))
}

#[test]
fn a_damaged_catalog_record_stops_the_start() {
    let (setup, model) = prefilled();
    let file = last(&setup, "catalog/v1/logs", ".catalog");
    damaged(&file, |name, what| refused(&setup, name, what));
    model.check(&setup.start().client);
}

#[test]
fn a_damaged_step_of_the_index_stops_the_start() {
    let (setup, model) = prefilled();
    let file = last(&setup, "index/v1", ".segment");
    damaged(&file, |name, what| refused(&setup, name, what));
    model.check(&setup.start().client);
}

#[test]
fn an_index_without_its_end_is_not_taken_for_a_shorter_one() {
    let (setup, model) = prefilled();
    let names = objects(&setup, "index/v1");
    let paths: Vec<_> = names.iter().map(|name| object(&setup, "index/v1", name)).collect();
    let intact: Vec<_> = paths.iter().map(|path| fs::read(path).expect("readable")).collect();
    for kept in 0..paths.len() {
        paths[kept..].iter().for_each(|path| fs::remove_file(path).expect("removed"));
        refused(&setup, "index/v1", &format!("{kept} of {} kept", paths.len()));
        for (path, bytes) in paths.iter().zip(&intact) {
            fs::write(path, bytes).expect("written");
        }
    }
    model.check(&setup.start().client);
}

/// Changes the version in the header of an object of the index.
fn of_newer_version(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[8] = 5;
    let mut crc = Crc::new();
    crc.update(&bytes[..20]);
    crc.update(&bytes[24..]);
    bytes[20..24].copy_from_slice(&crc.sum().to_le_bytes());
    bytes
}

#[test]
fn a_store_of_a_newer_release_is_left_alone() {
    let (setup, model) = prefilled();
    let file = last(&setup, "index/v1", ".segment");
    let bytes = fs::read(&file).expect("readable");
    fs::write(&file, of_newer_version(&bytes)).expect("written");
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("format version 5 is newer than this release can read"), "{log}");
    fs::write(&file, bytes).expect("written");

    let file = last(&setup, "catalog/v1/logs", ".catalog");
    let bytes = fs::read(&file).expect("readable");
    let text = String::from_utf8(bytes.clone()).expect("text");
    fs::write(&file, text.replacen(" v1 ", " v2 ", 1)).expect("written");
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("format version v2 is not known to this release"), "{log}");
    fs::write(&file, bytes).expect("written");
    model.check(&setup.start().client);
}

#[test]
fn a_wal_file_of_a_newer_release_is_left_alone() {
    let (setup, model) = prefilled();
    let file = last(&setup, "wal", ".wal");
    let bytes = fs::read(&file).expect("readable");
    let mut newer = bytes.clone();
    newer[7] = b'4';
    let mut crc = Crc::new();
    crc.update(&newer[..40]);
    newer[40..44].copy_from_slice(&crc.sum().to_le_bytes());
    fs::write(&file, &newer).expect("written");
    let (status, log) = setup.start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(log.contains(&name) && log.contains("newer"), "{log}");
    assert_eq!(fs::read(&file).expect("readable"), newer);
    fs::write(&file, bytes).expect("written");
    model.check(&setup.start().client);
}

/// A stopped server with ten rows in one file, which it does not keep in memory.
fn one_file() -> (Setup, PathBuf) {
    let setup = eager().with(&["--disable-parquet-mem-cache"]);
    let server = setup.start();
    let lines: Vec<_> = (0..10).map(|n| format!("m,k=v{n} n={n}i,s=\"text {n}\" {n}")).collect();
    server.client.must_write(DB, &lines.join("\n"));
    persist_everything(&server.client);
    let [file] = &files(&server.client, DB)[..] else { panic!("one file") };
    let file = setup.data_dir().join(file);
    server.stopped();
    (setup, file)
}

/// The query fails, and nothing else does.
fn unreadable(server: &Server, what: &str) {
    let answer = server.client.sql(DB, "SELECT * FROM m");
    assert_eq!(answer.status, 500, "{what}: {}", answer.text());
    assert!(!answer.text().is_empty(), "{what}");
    assert_eq!(server.client.get("/health").status, 200, "{what}");
}

#[test]
fn a_parquet_file_that_is_cut_off_or_gone_fails_its_queries_and_no_others() {
    let (setup, file) = one_file();
    let intact = fs::read(&file).expect("readable");
    for length in [0, 5, intact.len() / 2, intact.len() - 1] {
        fs::write(&file, &intact[..length]).expect("writable");
        let server = setup.start();
        unreadable(&server, &format!("cut off at {length}"));
        server.client.must_write(DB, "n,k=v f=1 1");
        assert_eq!(server.client.count(DB, "n"), 1);
    }
    fs::remove_file(&file).expect("removed");
    unreadable(&setup.start(), "gone");
    fs::write(&file, &intact).expect("writable");
    assert_eq!(setup.start().client.count(DB, "m"), 10);
}

/// Of such a file a query reads only what it needs.
#[test]
fn a_large_parquet_file_with_a_flipped_bit_never_gives_wrong_rows() {
    let setup = eager().with(&["--disable-parquet-mem-cache"]);
    let server = setup.start();
    let mut state = 1_u64;
    let mut character = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
                [(state >> 58) as usize],
        )
    };
    // Compression leaves three quarters of it.
    let mut line = |n| {
        let text: String = (0..2_000).map(|_| character()).collect();
        format!("m n={n}i,s=\"{text}\" {n}")
    };
    let lines: Vec<String> = (0..3_500).map(&mut line).collect();
    server.client.must_write(DB, &lines.join("\n"));
    persist_everything(&server.client);
    let [file] = &files(&server.client, DB)[..] else { panic!("one file") };
    let file = setup.data_dir().join(file);
    let intact = fs::read(&file).expect("readable");
    assert!(intact.len() > 5 << 20, "{}", intact.len());

    let all = "SELECT count(DISTINCT s) AS c, sum(n) AS n FROM m";
    let numbers = "SELECT sum(n) AS n FROM m";
    let expected = server.client.rows(DB, all);
    for at in [100, 1 << 20, 3 << 20, 5 << 20, intact.len() - 3_000, intact.len() - 300] {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).expect("writable");
        let server = setup.start();
        let answer = server.client.sql(DB, all);
        assert_eq!(answer.status, 500, "bit at {at}: {}", answer.text());
        assert!(answer.text().contains(".parquet is damaged"), "bit at {at}: {}", answer.text());
        let answer = server.client.sql(DB, numbers);
        if answer.status == 200 {
            assert_eq!(answer.json()[0]["n"], expected[0]["n"], "bit at {at}");
        }
    }
    fs::write(&file, &intact).expect("writable");
    assert_eq!(setup.start().client.rows(DB, all), expected);
}

#[test]
fn a_parquet_file_with_a_flipped_bit_never_gives_wrong_rows() {
    let (setup, file) = one_file();
    let intact = fs::read(&file).expect("readable");
    let server = setup.start();
    let rows = server.client.rows(DB, "SELECT * FROM m ORDER BY k");
    for at in (0..intact.len()).step_by(37) {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).expect("writable");
        let answer = server.client.sql(DB, "SELECT * FROM m ORDER BY k");
        assert_eq!(answer.status, 500, "bit at {at}: {}", answer.text());
        assert!(answer.text().contains(".parquet is damaged"), "bit at {at}: {}", answer.text());
        assert_eq!(server.client.get("/health").status, 200, "bit at {at}");
    }
    fs::write(&file, &intact).expect("writable");
    let server = server.killed_and_restarted();
    assert_eq!(server.client.rows(DB, "SELECT * FROM m ORDER BY k"), rows);
}
