//! The files of the WAL.

use super::{Stored, show};
use crate::cli::debug::WalArgs;
use anyhow::{Context, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use protocols::paths;
use protocols::wal_frame::mark::{Content, content};
use protocols::wal_frame::segment::{Frame, Segment, counted_bytes, decode_header, read};
use serde_json::{Value, json};

pub(super) async fn look(args: WalArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let value = match args.file {
        Some(number) => file(&stored, number).await?,
        None => list(&stored).await?,
    };
    show::print(&value, args.store.format)
}

/// A file, and how much of it counts, which the file after it says.
async fn segment(stored: &Stored, number: u64) -> Result<Option<(Bytes, Result<Segment, String>)>> {
    let path = |number| paths::wal_file(&stored.prefix, number);
    let Some(bytes) = stored.find(&path(number)).await? else { return Ok(None) };
    let next = stored.find(&path(number.saturating_add(1))).await?;
    let headers = decode_header(&bytes).ok().zip(next.and_then(|next| decode_header(&next).ok()));
    let counted = headers.and_then(|(this, next)| counted_bytes(&this, &next));
    let segment = read(&bytes, counted).map_err(|error| error.to_string());
    Ok(Some((bytes, segment)))
}

async fn list(stored: &Stored) -> Result<Value> {
    let folder = Path::from(paths::wal_dir(&stored.prefix));
    let found: Vec<_> = stored.objects.store.list(Some(&folder)).try_collect().await?;
    let mut numbers: Vec<u64> = found
        .iter()
        .filter_map(|meta| meta.location.filename().and_then(paths::wal_sequence))
        .collect();
    numbers.sort_unstable();
    let mut files = Vec::new();
    for number in numbers {
        // A server may have removed it meanwhile.
        let Some((bytes, segment)) = segment(stored, number).await? else { continue };
        let mut file = json!({"file": number, "size_bytes": bytes.len()});
        match segment {
            Err(error) => file["fault"] = error.into(),
            Ok(segment) => {
                let (first, last) = (segment.frames.first(), segment.frames.last());
                file["groups"] = segment.frames.len().into();
                file["rows"] = segment.frames.iter().map(rows).sum::<usize>().into();
                file["first_group"] = first.map(|frame| frame.sequence).into();
                file["last_group"] = last.map(|frame| frame.sequence).into();
                file["last_stamp"] = last.map(|frame| frame.stamp).into();
                file["fault"] = fault(&segment).into();
            }
        }
        files.push(file);
    }
    Ok(Value::Array(files))
}

/// What is wrong with a file that can be read.
fn fault(segment: &Segment) -> Option<String> {
    let damaged = segment.damaged.first();
    let damaged =
        damaged.map(|range| format!("bytes {} to {} are damaged", range.start, range.end));
    damaged.or_else(|| segment.torn_at.map(|at| format!("unfinished from byte {at} on")))
}

fn rows(frame: &Frame) -> usize {
    let contents = frame.entries.iter().filter_map(|entry| content(entry).ok());
    contents
        .map(|content| match content {
            Content::Rows(_, tables) => tables.iter().map(|rows| rows.times.len()).sum(),
            Content::Mark(_) | Content::Cut(_) => 0,
        })
        .sum()
}

async fn file(stored: &Stored, number: u64) -> Result<Value> {
    let path = paths::wal_file(&stored.prefix, number);
    let (bytes, segment) =
        segment(stored, number).await?.with_context(|| format!("there is no object {path}"))?;
    let segment = segment.map_err(anyhow::Error::msg).with_context(|| path.clone())?;
    let entries = segment.frames.iter().flat_map(|frame| {
        let entries = frame.entries.iter().flat_map(|entry| described(entry));
        entries.map(|mut entry| {
            entry["group"] = frame.sequence.into();
            entry["stamp"] = frame.stamp.into();
            entry
        })
    });
    Ok(json!({
        "path": path, "size_bytes": bytes.len(), "writer": format!("{:032x}", segment.header.writer),
        "fault": fault(&segment), "entries": entries.collect::<Vec<_>>(),
    }))
}

/// What an entry of a group is: rows of tables, or a mark.
fn described(entry: &[u8]) -> Vec<Value> {
    match content(entry) {
        Ok(Content::Rows(db, tables)) => tables
            .iter()
            .map(|rows| {
                let time = |ns: Option<&i64>| ns.map(|ns| show::time(*ns));
                json!({
                    "kind": "rows", "database_id": db, "table_id": rows.table,
                    "rows": rows.times.len(), "columns": rows.columns.len(),
                    "min_time": time(rows.times.iter().min()),
                    "max_time": time(rows.times.iter().max()),
                })
            })
            .collect(),
        Ok(Content::Mark(mark)) => vec![json!({
            "kind": "snapshot", "snapshot": mark.number, "wal_through": mark.wal_through,
            "max_time": show::time(mark.end_time_ns),
        })],
        Ok(Content::Cut(cut)) => vec![json!({
            "kind": "cut", "table_id": cut.table,
            "min_time": show::time(cut.min_time_ns), "max_time": show::time(cut.max_time_ns),
        })],
        Err(error) => vec![json!({"kind": "damaged", "fault": error.to_string()})],
    }
}
