//! Files that are too large to be read whole each time.

use super::super::counts::Counts;
use super::super::reader::FileAccess;
use super::*;
use crate::file_writer::encode as encode_rows;
use bytes::Bytes;
use datafusion::arrow::array::StringArray;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use std::ops::Range;

/// Rows with texts that compression leaves as they are, and few other bytes.
fn large_rows() -> RecordBatch {
    let rows = 7_000;
    let mut state = 1_u64;
    let mut character = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + (state >> 58) as u8)
    };
    let texts = (0..rows).map(|_| (0..1_000).map(|_| character()).collect::<String>());
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(0..rows));
    RecordBatch::try_from_iter([("a", numbers), ("s", texts), ("time", times)]).expect("fits")
}

/// One object that is to be a file with this checksum.
struct Object {
    objects: Arc<CountingStore>,
    file: Arc<ParquetFile>,
    path: String,
    is_near: bool,
    /// Descriptions that readers have in common.
    metadata: Option<Arc<FileMetadataCache>>,
}

impl Object {
    async fn put(bytes: &[u8], crc32: u32) -> Self {
        let file = ParquetFile {
            id: 1,
            db: DbId(1),
            table: TABLE,
            chunk_time_ns: 0,
            wal_file: 1,
            part: 0,
            size_bytes: bytes.len() as u64,
            row_count: 7_000,
            min_time_ns: 0,
            max_time_ns: 6_999,
            crc32,
            order: Stamps::at(1),
            keys: Default::default(),
            compacted: None,
        };
        let path = paths::parquet_file("n", &file);
        let objects = Arc::new(CountingStore::default());
        let location = Path::from(path.as_str());
        objects.inner.put(&location, bytes.to_vec().into()).await.expect("stored");
        Self { objects, file: Arc::new(file), path, is_near: false, metadata: None }
    }

    /// Somebody who has not seen the file before, unless they know what others have found.
    fn reader(&self) -> Box<dyn AsyncFileReader + Send> {
        let files = ParquetFiles {
            node: "n".into(),
            store: Arc::clone(&self.objects) as _,
            cache: None,
            held: HeldRows::default(),
            clock: Clock::Fixed(Arc::default()),
            query_file_limit: None,
            is_near: self.is_near,
            remembered: Remembered::default(),
        };
        let metadata = self.metadata.clone().unwrap_or_else(no_descriptions);
        let counts = Counts::new(&ExecutionPlanMetricsSet::new(), 0);
        let access = FileAccess { files, metadata, table: table(4), retention_ns: None, counts };
        let object = PartitionedFile::new(self.path.clone(), self.file.size_bytes)
            .with_extension(Arc::clone(&self.file));
        access.create_reader(0, object, None, &ExecutionPlanMetricsSet::new()).expect("a reader")
    }

    /// The bytes of a column, or of all of them, and where they are.
    async fn columns(&self, column: Option<usize>) -> Result<Vec<(Range<u64>, Bytes)>> {
        let mut reader = self.reader();
        let metadata = reader.get_metadata(None).await?;
        let columns = metadata.row_group(0).columns().iter().enumerate();
        let ranges: Vec<Range<u64>> = columns
            .filter(|(i, _)| column.is_none_or(|column| column == *i))
            .map(|(_, column)| column.byte_range())
            .map(|(begin, length)| begin..begin + length)
            .collect();
        let parts = reader.get_byte_ranges(ranges.clone()).await?;
        Ok(ranges.into_iter().zip(parts).collect())
    }
}

fn no_descriptions() -> Arc<FileMetadataCache> {
    RuntimeEnv::default().cache_manager.get_file_metadata_cache()
}

/// Reads bytes until all are as they were, or the file is reported.
async fn check(object: &Object, intact: &[u8], what: &str) -> bool {
    match object.columns(None).await {
        Ok(parts) => parts.iter().all(|(range, part)| {
            assert_eq!(part, &intact[range.start as usize..range.end as usize], "{what}");
            true
        }),
        Err(error) => {
            assert!(error.to_string().contains(".parquet is damaged"), "{what}: {error}");
            false
        }
    }
}

#[test]
fn only_the_blocks_that_are_needed_are_read() {
    run(async {
        let bytes = encode_rows(&large_rows()).expect("encodes");
        let object = Object::put(&bytes, crc32fast::hash(&bytes)).await;
        let size = object.file.size_bytes;
        assert!(size > 5 << 20, "{size}");
        for (column, part) in [(0, 10), (2, 10), (1, 1)] {
            for (range, part) in object.columns(Some(column)).await.expect("intact") {
                assert_eq!(part, &bytes[range.start as usize..range.end as usize]);
            }
            let (_, read) = object.objects.take_reads();
            assert!(read < size / part + (512 << 10), "{column}: {read} of {size}");
        }
        let behind = object.reader().get_bytes(size - 20..size).await.expect("intact");
        assert_eq!(behind, &bytes[size as usize - 20..]);
        let beyond = object.reader().get_byte_ranges(vec![0..9, size - 20..size]).await;
        assert!(beyond.is_err(), "no rows are there");
    });
}

#[test]
fn a_file_of_middle_size_is_fetched_whole_only_where_that_spares_requests() {
    run(async {
        let bytes = encode_rows(&large_rows().slice(0, 3_000)).expect("encodes");
        let mut object = Object::put(&bytes, crc32fast::hash(&bytes)).await;
        let size = object.file.size_bytes;
        assert!((2 << 20..4 << 20).contains(&size), "{size}");
        let read = async |object: &Object, column| {
            for (range, part) in object.columns(Some(column)).await.expect("intact") {
                assert_eq!(part, &bytes[range.start as usize..range.end as usize]);
            }
            object.objects.take_reads().1
        };
        assert_eq!(read(&object, 0).await, size, "nothing is known of it, and it is far away");
        object.metadata = Some(no_descriptions());
        assert_eq!(read(&object, 0).await, size);
        assert!(read(&object, 0).await < size / 4, "the second time");
        assert_eq!(read(&object, 1).await, size, "most of it is needed");
        (object.metadata, object.is_near) = (None, true);
        assert!(read(&object, 0).await < size / 4, "near");
    });
}

#[test]
fn no_flipped_bit_of_a_large_file_gets_through() {
    run(async {
        let intact = encode_rows(&large_rows()).expect("encodes");
        let crc32 = crc32fast::hash(&intact);
        assert!(check(&Object::put(&intact, crc32).await, &intact, "intact").await);
        let metadata = intact.len() - 8_000..intact.len();
        for at in (0..intact.len()).step_by(300_007).chain(metadata.step_by(397)) {
            let mut bytes = intact.to_vec();
            bytes[at] ^= 0x10;
            let object = Object::put(&bytes, crc32).await;
            let what = format!("bit at {at}");
            assert!(!check(&object, &intact, &what).await, "{what}");
        }
        // What is not damaged can be read.
        let mut bytes = intact.to_vec();
        bytes[2 << 20] ^= 1;
        let object = Object::put(&bytes, crc32).await;
        assert!(object.columns(Some(1)).await.is_err());
        assert!(object.columns(Some(0)).await.is_ok());
        for length in [0, 7, intact.len() / 2, intact.len() - 1] {
            let mut object = Object::put(&intact[..length], crc32).await;
            Arc::make_mut(&mut object.file).size_bytes = intact.len() as u64;
            assert!(object.columns(Some(0)).await.is_err(), "cut off at {length}");
        }
    });
}

#[test]
fn a_large_file_without_a_list_is_checked_as_a_whole() {
    run(async {
        let rows = large_rows();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).expect("fits");
        writer.write(&rows).expect("encodes");
        let intact = writer.into_inner().expect("encodes");
        let crc32 = crc32fast::hash(&intact);
        assert!(check(&Object::put(&intact, crc32).await, &intact, "intact").await);
        let mut bytes = intact.clone();
        bytes[3 << 20] ^= 1;
        let object = Object::put(&bytes, crc32).await;
        assert!(!check(&object, &intact, "damaged").await);
        assert!(object.columns(Some(0)).await.is_err(), "nobody knows where the damage is");
    });
}
