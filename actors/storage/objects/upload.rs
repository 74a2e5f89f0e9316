//! A large file that comes in parts.

use super::folder::{Folder, error_at, generic};
use crate::runtime::pools::Pool;
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is being written under a name of its own and gets its place when it is whole.
pub(super) struct Upload {
    files: Arc<Folder>,
    disk: Pool,
    location: Path,
    path: PathBuf,
    unfinished: PathBuf,
    parts: Arc<Parts>,
    /// Where the next part goes.
    end: u64,
    is_over: bool,
}

struct Parts {
    file: Mutex<File>,
    /// Bytes of parts that arrived whole.
    written_bytes: AtomicU64,
}

impl Parts {
    fn write(&self, offset: u64, payload: &PutPayload) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
        self.written_bytes.fetch_add(payload.content_length() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Upload {
    /// Begins an upload of what is to be at `path`.
    pub(super) async fn begin(
        files: Arc<Folder>,
        disk: Pool,
        location: Path,
        path: PathBuf,
    ) -> Result<Self> {
        let begun = Arc::clone(&files);
        let begun = disk.run(move || begun.begin()).await.map_err(generic)?;
        let (file, unfinished) = begun.map_err(|e| error_at(&location, &path, e))?;
        let parts = Arc::new(Parts { file: Mutex::new(file), written_bytes: AtomicU64::new(0) });
        Ok(Self { files, disk, location, path, unfinished, parts, end: 0, is_over: false })
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("path", &self.path).field("end", &self.end).finish()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.end;
        self.end += data.content_length() as u64;
        let parts = Arc::clone(&self.parts);
        let written = self.disk.run(move || parts.write(offset, &data));
        let (location, path) = (self.location.clone(), self.path.clone());
        Box::pin(async move {
            written.await.map_err(generic)?.map_err(|e| error_at(&location, &path, e))
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.is_over {
            return Err(generic("the upload is over"));
        }
        let (files, parts) = (Arc::clone(&self.files), Arc::clone(&self.parts));
        let (path, unfinished) = (self.path.clone(), self.unfinished.clone());
        let end = self.end;
        let placed = self.disk.run(move || {
            let written_bytes = parts.written_bytes.load(Ordering::Relaxed);
            if written_bytes != end {
                let text = format!("{written_bytes} of {end} bytes of the parts were written");
                return Err(io::Error::other(text));
            }
            let file = parts.file.lock().unwrap_or_else(PoisonError::into_inner);
            files.finish(&file, &unfinished, &path, false)
        });
        let placed = placed.await.map_err(generic)?;
        placed.map_err(|e| error_at(&self.location, &self.path, e))?;
        self.is_over = true;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.is_over = true;
        let unfinished = self.unfinished.clone();
        let removed = self.disk.run(move || std::fs::remove_file(unfinished)).await;
        removed.map_err(generic)?.map_err(|e| error_at(&self.location, &self.path, e))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_over {
            let unfinished = self.unfinished.clone();
            drop(self.disk.run(move || std::fs::remove_file(unfinished)));
        }
    }
}
