//! A table whose rows are in a running shard and in files, and what is done with them.

use super::*;

/// A running shard and the files of its table.
pub(super) struct World {
    pub(super) store: Mailbox<Store>,
    open: Shared<Shard>,
    pub(super) objects: Arc<CountingStore>,
    pub(super) cache: Option<Mailbox<ParquetCache>>,
    pub(super) held: HeldRows,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) query_file_limit: Option<usize>,
    pub(super) groups_since_ns: i64,
    pub(super) remembered: Remembered,
    pub(super) batch_rows: usize,
    /// True if each question finds rows that nobody has sorted.
    pub(super) stays_unsorted: bool,
    /// What was written last, and with how many columns.
    pub(super) last: Option<(Vec<Row>, usize)>,
    /// The wall clock, for retention.
    pub(super) clock: Arc<AtomicI64>,
    pub(super) sequence: u64,
    pub(super) snapshots: u64,
    pub(super) files: u64,
    pub(super) publisher: Publisher<CatalogSnapshot>,
}

impl World {
    pub(super) async fn start() -> Self {
        let config = ActorConfig {
            kind: "store",
            name: "store-0".to_owned(),
            messages_max: 100,
            bytes_max: 1 << 20,
            vital: false,
        };
        let store = Guardian::mailbox::<Store>(&config);
        let open = Shared::default();
        let shared = open.clone();
        let empty = Lives::of(move || {
            let shard = Shard::new(0, GEN1_NS, vec![], ShardFiles::default());
            Ok(Store::open(shard, &shared, CacheFeeds::default()))
        });
        let guardian = Guardian::new(Fatal::default());
        guardian.birth(config, store.clone(), empty).await.expect("starts");
        let (publisher, catalog) = Published::new(Arc::new(catalog()));
        Self {
            store,
            open,
            objects: Arc::default(),
            cache: None,
            held: HeldRows::default(),
            catalog,
            query_file_limit: None,
            groups_since_ns: i64::MIN,
            remembered: Remembered::default(),
            batch_rows: 4,
            stays_unsorted: false,
            last: None,
            clock: Arc::default(),
            sequence: 0,
            snapshots: 0,
            files: 0,
            publisher,
        }
    }

    pub(super) fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    pub(super) async fn write(&mut self, rows: &[Row], columns: usize) {
        let (Some(min), Some(max)) =
            (rows.iter().map(|r| r.time).min(), rows.iter().map(|r| r.time).max())
        else {
            return;
        };
        self.last = Some((rows.to_vec(), columns));
        let rows = TableBatch {
            db: DbId(1),
            table: TABLE,
            rows: batch(rows, columns),
            min_time_ns: min,
            max_time_ns: max,
            size_bytes: 100,
        };
        self.apply(vec![rows], None).await;
    }

    /// Leaves something unsorted and the same answers to all questions.
    pub(super) async fn write_last_again(&mut self) {
        if let Some((rows, columns)) = self.last.take() {
            self.write(&rows, columns).await;
        }
    }

    pub(super) async fn apply(&mut self, batches: Vec<TableBatch>, mark: Option<SnapshotMark>) {
        self.sequence += 1;
        let (sequence, stamp) = (self.sequence, self.sequence as i64);
        let group = ApplyRows { sequence, stamp, batches, cuts: vec![], mark };
        self.store.ask_from_edge(group, Self::deadline()).await.expect("applied");
    }

    /// Begins a snapshot of the chunks before `end`.
    pub(super) async fn freeze(&mut self, end: i64) -> PlacedMark {
        self.snapshots += 1;
        let mark = SnapshotMark {
            number: self.snapshots,
            end_time_ns: end,
            wal_through: self.sequence,
            forced: false,
            durable_stamp: 0,
        };
        self.apply(vec![], Some(mark)).await;
        PlacedMark { mark, sequence: self.sequence, stamp: self.sequence as i64 }
    }

    /// Writes at most so many of the frozen chunks and puts the files in their place.
    pub(super) async fn swap(&mut self, placed: PlacedMark, chunks_max: usize, columns: usize) {
        let snapshot = placed.mark.number;
        let ask = FrozenChunks { snapshot };
        let frozen = self.store.ask_from_edge(ask, Self::deadline()).await.expect("answers");
        for frozen in frozen.chunks.into_iter().take(chunks_max) {
            let chunk = frozen.chunk;
            let sorted = chunk.sorted.iter().map(|s| s.rows.clone());
            let batches: Vec<RecordBatch> = sorted.chain(chunk.unsorted).collect();
            let rows = sort_dedup(&batches, &table(columns)).expect("sorts").rows;
            let file = self.put_as(&rows, chunk.chunk_time_ns, chunk.order, false).await;
            let swap = SwapChunk {
                snapshot,
                table: TABLE,
                chunk_time_ns: chunk.chunk_time_ns,
                division: chunk.division,
                files: vec![file],
            };
            self.store.ask_from_edge(swap, Self::deadline()).await.expect("swapped");
        }
    }

    /// Ends a snapshot, with further files.
    pub(super) async fn end(&self, snapshot: PlacedMark, files: Vec<Arc<ParquetFile>>) {
        let end = EndSnapshot { snapshot, files };
        self.store.ask_from_edge(end, Self::deadline()).await.expect("ended");
    }

    /// Moves everything before `end` into files.
    pub(super) async fn persist(&mut self, end: i64, columns: usize) {
        let placed = self.freeze(end).await;
        self.swap(placed, usize::MAX, columns).await;
        self.end(placed, vec![]).await;
    }

    /// Shows files that were put.
    pub(super) async fn show(&mut self, files: Vec<Arc<ParquetFile>>) {
        let placed = self.freeze(i64::MIN).await;
        self.end(placed, files).await;
    }

    /// Stores sorted rows as a file, as if they were written now.
    pub(super) async fn put(&mut self, rows: &RecordBatch, chunk_time_ns: i64) -> Arc<ParquetFile> {
        self.sequence += 1;
        self.put_as(rows, chunk_time_ns, Stamps::at(self.sequence as i64), false).await
    }

    pub(super) async fn put_as(
        &mut self,
        rows: &RecordBatch,
        chunk_time_ns: i64,
        order: Stamps,
        is_merged: bool,
    ) -> Arc<ParquetFile> {
        let bytes = encode(rows);
        let times = rows["time"].as_primitive::<TimestampNanosecondType>().values();
        self.files += 1;
        let file = ParquetFile {
            id: self.files,
            db: DbId(1),
            table: TABLE,
            chunk_time_ns,
            wal_file: self.files,
            part: 0,
            size_bytes: bytes.len() as u64,
            row_count: rows.num_rows() as u64,
            min_time_ns: *times.iter().min().expect("rows"),
            max_time_ns: *times.iter().max().expect("rows"),
            crc32: crc32fast::hash(&bytes),
            order,
            keys: keys_of(rows, 0, &table(4)).expect("tags"),
            compacted: is_merged.then_some(Compacted {
                generation: 2,
                nonce: self.files,
                deletes_through: 0,
            }),
        };
        let path = Path::from(paths::parquet_file("n", &file));
        self.objects.inner.put(&path, bytes.into()).await.expect("stored");
        Arc::new(file)
    }

    pub(super) fn context(&self, now_ns: i64) -> ScanContext {
        ScanContext {
            stores: StoreShards::new(vec![self.store.clone()]).laid_open(vec![self.open.clone()]),
            files: ParquetFiles {
                node: "n".into(),
                store: Arc::clone(&self.objects) as _,
                cache: self.cache.clone(),
                held: self.held.clone(),
                clock: Clock::Fixed(Arc::clone(&self.clock)),
                query_file_limit: self.query_file_limit,
                is_near: false,
                remembered: self.remembered.clone(),
            },
            catalog: self.catalog.clone(),
            view_time: Duration::from_secs(30),
            now_ns,
            files_since_ns: i64::MIN,
            groups_since_ns: self.groups_since_ns,
            seen: Arc::default(),
        }
    }

    pub(super) fn session(
        &self,
        columns: usize,
        retention_ns: Option<i64>,
        now_ns: i64,
    ) -> SessionContext {
        let config = SessionConfig::new().with_batch_size(self.batch_rows);
        let config = config.with_target_partitions(2);
        let config = config.with_extension(Arc::new(self.context(now_ns)));
        let session = SessionContext::new_with_config(config);
        let provider = StoredTable::new(table(columns), retention_ns);
        session.register_table("m", Arc::new(provider)).expect("registers");
        session.add_optimizer_rule(Arc::new(ReadNewest));
        session
    }

    pub(super) async fn sql(&self, columns: usize, text: &str) -> Vec<RecordBatch> {
        let session = self.session(columns, None, 0);
        let frame = session.sql(text).await.expect("plans");
        frame.collect().await.expect("runs")
    }

    pub(super) async fn explain(&self, text: &str) -> String {
        let plan = self.sql(4, &format!("EXPLAIN {text}")).await;
        pretty_format_batches(&plan).expect("prints").to_string()
    }

    /// The plan of a query that has run.
    pub(super) async fn analyze(&self, text: &str) -> String {
        self.explain(&format!("ANALYZE {text}")).await
    }
}
