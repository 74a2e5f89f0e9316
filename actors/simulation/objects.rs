//! An object store in memory whose calls take time, fail, and take effect later than they answer.
//!
//! It stands for a bucket behind a network, or for a folder on the simulated disk. What is sent to
//! a bucket arrives even if the sender is killed meanwhile.

use crate::runtime::simulated;
use crate::storage::disk;
use crate::storage::simulated_disk::HasDisk;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UploadPart,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

const STORE: &str = "simulated";
/// After so long a client gives a call up.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A call that was given up may take effect so much later.
const LATE_MAX: Duration = Duration::from_secs(3);

/// How the network and the store behind it are.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Longest way there, and back.
    pub latency_max: Duration,
    /// Share of calls that fail without having had an effect.
    pub before: f64,
    /// Share of calls that fail although they have had their effect.
    pub after: f64,
    /// Share of calls that fail and take effect later.
    pub late: f64,
    /// Share of calls that are never answered.
    pub hang: f64,
    /// Every call fails.
    pub down: bool,
}

impl Weather {
    /// No faults.
    pub const FAIR: Self = Self {
        latency_max: Duration::from_millis(20),
        before: 0.0,
        after: 0.0,
        late: 0.0,
        hang: 0.0,
        down: false,
    };
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Before,
    After,
    Late,
    Hang,
}

/// An object.
#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    version: u64,
}

/// Where objects are kept.
#[derive(Debug)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    versions: u64,
    weather: Weather,
    random: StdRng,
    calls: u64,
}

/// See the module's page.
#[derive(Clone, Debug)]
pub struct SimObjects {
    bucket: Arc<Mutex<Bucket>>,
    /// Set when the objects are files of the simulated disk.
    root: Option<PathBuf>,
}

impl std::fmt::Display for SimObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimObjects")
    }
}

impl SimObjects {
    /// An empty bucket.
    pub fn bucket(seed: u64) -> Self {
        let bucket = Bucket {
            objects: BTreeMap::new(),
            versions: 0,
            weather: Weather::FAIR,
            random: StdRng::seed_from_u64(seed ^ 0x0b1ec7),
            calls: 0,
        };
        Self { bucket: Arc::new(Mutex::new(bucket)), root: None }
    }

    /// The folder `root` on the simulated disk of this thread.
    pub fn folder(seed: u64, root: PathBuf) -> Self {
        Self { root: Some(root), ..Self::bucket(seed) }
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The keys of all objects of the bucket.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Makes a call: there, the effect, and back.
    async fn call<R: Send + 'static>(
        &self,
        effect: impl FnOnce(&Self) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        if self.root.is_some() {
            let result = effect(self);
            sleep(simulated::job_time()).await;
            return result;
        }
        if let Some(machine) = simulated::machine() {
            machine.disk().step().map_err(|e| planted(&e.to_string()))?;
        }
        let (there, back, fate) = self.lock().draw();
        if fate == Fate::Before {
            sleep(there + back).await;
            return Err(planted("the call failed"));
        }
        let store = self.clone();
        let arrived = tokio::spawn(async move {
            sleep(there).await;
            effect(&store)
        });
        match fate {
            Fate::Late => {
                sleep(back).await;
                Err(planted("the call was given up"))
            }
            Fate::Hang => {
                sleep(CLIENT_TIMEOUT).await;
                Err(planted("the call was never answered"))
            }
            _ => {
                let result = arrived.await.map_err(|e| planted(&e.to_string()))?;
                sleep(back).await;
                if fate == Fate::After {
                    result?;
                    return Err(planted("the answer was lost"));
                }
                result
            }
        }
    }

    fn path_of(&self, key: &str) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(key))
    }

    fn read(&self, key: &str) -> Result<Object> {
        if let Some(path) = self.path_of(key) {
            let bytes = disk::read(&path).map_err(|e| from_disk(key, e))?;
            return Ok(Object { bytes: bytes.into(), version: 0 });
        }
        self.lock().objects.get(key).cloned().ok_or_else(|| missing(key))
    }

    fn write(&self, key: &str, bytes: Bytes, mode: &PutMode) -> Result<u64> {
        let create = *mode == PutMode::Create;
        if let Some(path) = self.path_of(key) {
            let written = if create {
                disk::create_durable(&path, &bytes)
            } else {
                disk::replace_durable(&path, &bytes)
            };
            return written.map(|()| 0).map_err(|e| from_disk(key, e));
        }
        let mut bucket = self.lock();
        let found = bucket.objects.get(key).map(|object| object.version);
        if create && found.is_some() {
            return Err(exists(key));
        }
        if let PutMode::Update(expected) = mode
            && expected.e_tag != found.map(|version| version.to_string())
        {
            let path = key.to_owned();
            return Err(Error::Precondition { path, source: "another version is there".into() });
        }
        bucket.versions += 1;
        let version = bucket.versions;
        bucket.objects.insert(key.to_owned(), Object { bytes, version });
        Ok(version)
    }

    fn delete(&self, key: &str) -> Result<()> {
        if let Some(path) = self.path_of(key) {
            return match disk::remove(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(from_disk(key, e)),
                _ => Ok(()),
            };
        }
        self.lock().objects.remove(key);
        Ok(())
    }

    /// What is below `prefix`, in any order.
    fn listing(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let below = |key: &str| prefix.is_empty() || key.starts_with(&format!("{prefix}/"));
        let mut found: Vec<ObjectMeta> = match &self.root {
            Some(root) => {
                let machine = simulated::machine().ok_or_else(|| planted("no machine"))?;
                let files = machine.disk().files_below(root);
                let files = files.map_err(|e| from_disk(prefix, e))?;
                let key = |path: &PathBuf| {
                    path.strip_prefix(root).ok().map(|p| p.to_string_lossy().into_owned())
                };
                (files.iter().filter_map(|(path, bytes)| Some((key(path)?, bytes.len()))))
                    .filter(|(key, _)| below(key))
                    .map(|(key, size)| meta(&key, size, 0))
                    .collect()
            }
            None => (self.lock().objects.iter().filter(|(key, _)| below(key)))
                .map(|(key, object)| meta(key, object.bytes.len(), object.version))
                .collect(),
        };
        let random = &mut self.lock().random;
        for i in (1..found.len()).rev() {
            found.swap(i, random.random_range(0..=i));
        }
        Ok(found)
    }
}

impl Bucket {
    fn draw(&mut self) -> (Duration, Duration, Fate) {
        self.calls += 1;
        let weather = self.weather;
        let micros = weather.latency_max.as_micros().max(1) as u64;
        let mut there = Duration::from_micros(self.random.random_range(0..micros));
        let back = Duration::from_micros(self.random.random_range(0..micros));
        let mut dice: f64 = self.random.random();
        let mut hits = |share: f64| {
            dice -= share;
            dice < 0.0
        };
        let fate = if weather.down || hits(weather.before) {
            Fate::Before
        } else if hits(weather.after) {
            Fate::After
        } else if hits(weather.late) {
            there = LATE_MAX.mul_f64(self.random.random());
            Fate::Late
        } else if hits(weather.hang) {
            Fate::Hang
        } else {
            Fate::Fine
        };
        (there, back, fate)
    }
}

fn planted(text: &str) -> Error {
    Error::Generic { store: STORE, source: format!("planted: {text}").into() }
}

fn missing(key: &str) -> Error {
    Error::NotFound { path: key.to_owned(), source: "no such object".into() }
}

fn exists(key: &str) -> Error {
    Error::AlreadyExists { path: key.to_owned(), source: "the object exists".into() }
}

fn from_disk(key: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => missing(key),
        ErrorKind::AlreadyExists => exists(key),
        _ => Error::Generic { store: STORE, source: error.into() },
    }
}

fn meta(key: &str, size: usize, version: u64) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(key),
        last_modified: DateTime::<Utc>::UNIX_EPOCH,
        size: size as u64,
        e_tag: Some(version.to_string()),
        version: None,
    }
}

#[async_trait]
impl ObjectStore for SimObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let key = location.to_string();
        let bytes: Bytes = payload.into();
        let put = self.call(move |store| store.write(&key, bytes, &opts.mode)).await;
        put.map(|version| PutResult { e_tag: Some(version.to_string()), version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = Upload { store: self.clone(), location: location.clone(), parts: Vec::new() };
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let key = location.to_string();
        let object = self.call(move |store| store.read(&key)).await?;
        let meta = meta(location.as_ref(), object.bytes.len(), object.version);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|e| planted(&e.to_string()))?,
            None => 0..meta.size,
        };
        let bytes = object.bytes.slice(range.start as usize..range.end as usize);
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.and_then(move |location| {
            let (store, key) = (store.clone(), location.to_string());
            async move {
                store.call(move |store| store.delete(&key)).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.map(ToString::to_string).unwrap_or_default();
        let store = self.clone();
        let listed = async move { store.call(move |store| store.listing(&prefix)).await };
        let items = listed.map(|found| match found {
            Ok(found) => stream::iter(found).map(Ok).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        items.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let all: Vec<ObjectMeta> = self.list(prefix).try_collect().await?;
        let skipped = prefix.map_or(0, |prefix| prefix.parts().count());
        let mut common_prefixes = BTreeSet::new();
        let mut objects = Vec::new();
        for object in all {
            let parts: Vec<_> = object.location.parts().collect();
            if parts.len() == skipped + 1 {
                objects.push(object);
            } else {
                common_prefixes.insert(parts.into_iter().take(skipped + 1).collect::<Path>());
            }
        }
        Ok(ListResult { common_prefixes: common_prefixes.into_iter().collect(), objects })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.to_string(), to.to_string());
        let mode = match options.mode {
            CopyMode::Create => PutMode::Create,
            CopyMode::Overwrite => PutMode::Overwrite,
        };
        self.call(move |store| {
            let object = store.read(&from)?;
            store.write(&to, object.bytes, &mode).map(drop)
        })
        .await
    }
}

/// An upload in parts, which becomes an object in one step.
#[derive(Debug)]
struct Upload {
    store: SimObjects,
    location: Path,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        let store = self.store.clone();
        async move { store.call(|_| Ok(())).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let whole: PutPayload = self.parts.iter().flat_map(|part| part.iter().cloned()).collect();
        self.store.put_opts(&self.location, whole, PutOptions::default()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
