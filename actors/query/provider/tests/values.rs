//! Merged files that say which values they have: they are passed over, and no answer depends on it.

use super::*;
use crate::file_writer::with_filters;
use datafusion::arrow::array::StringArray;
use protocols::schema::IndexedColumns;
use std::collections::BTreeSet;

/// Rows of a row group.
const GROUP_ROWS: usize = 8;

/// Two tags, and two fields of texts.
fn own_table() -> Arc<TableSchema> {
    let text = ColumnKind::Field(FieldType::String);
    let kinds = [("t0", ColumnKind::Tag), ("s", text), ("t1", ColumnKind::Tag), ("u", text)];
    let columns = kinds.iter().zip(0..).map(|((name, kind), id)| ColumnSchema {
        id: ColumnId(id),
        name: Arc::from(*name),
        kind: *kind,
    });
    Arc::new(TableSchema::new(TABLE, Arc::from("m"), columns.collect(), None))
}

/// The values of t0, t1, s and u, and the time.
type TextRow = ([Option<u8>; 4], i64);
type TextKey = ([Option<u8>; 2], i64);
type TextModel = BTreeMap<TextKey, [Option<u8>; 2]>;

fn text_batch(rows: &[TextRow]) -> RecordBatch {
    let texts = |column: usize| {
        let values = rows.iter().map(move |(values, _)| values[column]);
        values.map(move |value| value.map(|value| format!("{value}"))).collect::<Vec<_>>()
    };
    let tag = |column| -> ArrayRef {
        let texts = texts(column);
        Arc::new(texts.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>())
    };
    let field = |column| -> ArrayRef { Arc::new(StringArray::from_iter(texts(column))) };
    let times = TimestampNanosecondArray::from_iter_values(rows.iter().map(|(_, time)| *time));
    let columns: [(&str, ArrayRef); 5] = [
        ("t0", tag(0)),
        ("t1", tag(1)),
        ("s", field(2)),
        ("u", field(3)),
        ("time", Arc::new(times)),
    ];
    RecordBatch::try_from_iter(columns).expect("fits")
}

impl World {
    /// A merged file with these rows, newer than all before.
    async fn put_indexed(&mut self, rows: &[TextRow], chosen: Option<&IndexedColumns>) {
        let sorted = sort_dedup(&[text_batch(rows)], &own_table()).expect("sorts");
        let has_values = |i: &usize| {
            let column = sorted.rows.column(*i);
            column.logical_null_count() < column.len()
        };
        let columns: Vec<usize> = (0..sorted.rows.num_columns()).filter(has_values).collect();
        let rows = sorted.rows.project(&columns).expect("columns of its own");
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
        let properties = with_filters(properties, &rows, rows.num_rows() as u64, chosen);
        let mut writer =
            ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).expect("fits");
        writer.write(&rows).expect("encodes");
        let bytes = writer.into_inner().expect("encodes");
        self.show_merged(&rows, bytes).await;
    }

    async fn show_merged(&mut self, rows: &RecordBatch, bytes: Vec<u8>) {
        let times = rows["time"].as_primitive::<TimestampNanosecondType>().values();
        self.files += 1;
        self.sequence += 1;
        let file = ParquetFile {
            id: self.files,
            db: DbId(1),
            table: TABLE,
            chunk_time_ns: 0,
            wal_file: 0,
            part: 0,
            size_bytes: bytes.len() as u64,
            row_count: rows.num_rows() as u64,
            min_time_ns: *times.iter().min().expect("rows"),
            max_time_ns: *times.iter().max().expect("rows"),
            crc32: crc32fast::hash(&bytes),
            order: Stamps::at(self.sequence as i64),
            keys: keys_of(rows, 0, &own_table()).expect("tags"),
            compacted: Some(Compacted { generation: 2, nonce: self.files, deletes_through: 0 }),
        };
        let path = Path::from(paths::parquet_file("n", &file));
        self.objects.inner.put(&path, bytes.into()).await.expect("stored");
        self.show(vec![Arc::new(file)]).await;
    }

    async fn text_sql(&self, text: &str) -> Vec<RecordBatch> {
        let config = SessionConfig::new().with_batch_size(self.batch_rows);
        let config = config.with_target_partitions(2);
        let config = config.with_extension(Arc::new(self.context(0)));
        let session = SessionContext::new_with_config(config);
        let provider = StoredTable::new(own_table(), None);
        session.register_table("m", Arc::new(provider)).expect("registers");
        session.add_optimizer_rule(Arc::new(ReadNewest));
        session.sql(text).await.expect("plans").collect().await.expect("runs")
    }

    async fn text_plan(&self, text: &str) -> String {
        let plan = self.text_sql(&format!("EXPLAIN ANALYZE {text}")).await;
        pretty_format_batches(&plan).expect("prints").to_string()
    }
}

fn read_texts(batches: &[RecordBatch]) -> BTreeSet<(TextKey, [Option<u8>; 2])> {
    let mut rows = BTreeSet::new();
    for batch in batches {
        let value = |name: &str, row: usize| {
            let texts = cast(&batch[name], &DataType::Utf8).expect("casts");
            let texts = texts.as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).parse::<u8>().expect("a number"))
        };
        let times = batch["time"].as_primitive::<TimestampNanosecondType>().values();
        for (row, time) in times.iter().enumerate() {
            let key = ([value("t0", row), value("t1", row)], *time);
            assert!(rows.insert((key, [value("s", row), value("u", row)])), "{key:?} twice");
        }
    }
    rows
}

/// A condition on one column: t0, t1, s or u is one of these.
type Condition = (usize, Vec<u8>);

fn in_sql((column, values): &Condition) -> String {
    let column = ["t0", "t1", "s", "u"][*column];
    let values: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    match values.as_slice() {
        [value] => format!("{column} = {value}"),
        values => format!("{column} IN ({})", values.join(", ")),
    }
}

fn holds((column, values): &Condition, key: &TextKey, fields: &[Option<u8>; 2]) -> bool {
    let value = [key.0[0], key.0[1], fields[0], fields[1]][*column];
    value.is_some_and(|value| values.contains(&value))
}

fn text_rows() -> impl Strategy<Value = Vec<TextRow>> {
    let values = [3_u8, 40, 40, 4].map(|values| prop::option::weighted(0.8, 0..values));
    prop::collection::vec((values, 0..30_i64), 1..40)
}

fn chosen() -> impl Strategy<Value = Option<IndexedColumns>> {
    let names = ["t0", "t1", "s", "u", "time", "nosuch"].map(Arc::from).to_vec();
    prop::option::of(prop::sample::subsequence(names, 0..=6).prop_map(Into::into))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn answers_do_not_depend_on_the_index(
        files in prop::collection::vec((text_rows(), chosen()), 1..5),
        asked in prop::collection::vec(
            prop::collection::vec((0..4_usize, prop::collection::vec(0..42_u8, 1..4)), 1..4), 1..6
        ),
        is_or: bool,
        from in 0..30_i64,
    ) {
        run(async {
            let mut world = World::start().await;
            let mut model = TextModel::new();
            for (rows, chosen) in &files {
                for (values, time) in rows {
                    let fields = model.entry(([values[0], values[1]], *time)).or_default();
                    fields[0] = values[2].or(fields[0]);
                    fields[1] = values[3].or(fields[1]);
                }
                world.put_indexed(rows, chosen.as_ref()).await;
            }
            for conditions in &asked {
                let sql: Vec<String> = conditions.iter().map(in_sql).collect();
                let sql = sql.join(if is_or { " OR " } else { " AND " });
                let holds = |(key, fields): &(&TextKey, &[Option<u8>; 2])| {
                    let mut all = conditions.iter().map(|condition| holds(condition, key, fields));
                    key.1 >= from && if is_or { all.any(|one| one) } else { all.all(|one| one) }
                };
                let expected: BTreeSet<_> =
                    model.iter().filter(holds).map(|(key, fields)| (*key, *fields)).collect();
                let query = format!("SELECT * FROM m WHERE ({sql}) AND time >= {}", instant(from));
                // What was found out about a file serves the second one.
                for _ in 0..2 {
                    assert_eq!(read_texts(&world.text_sql(&query).await), expected, "{query}");
                }
                let newest = world.text_sql(&format!("{query} ORDER BY time DESC LIMIT 1")).await;
                let newest: Vec<i64> = newest.iter().flat_map(times_of).collect();
                let latest = expected.iter().map(|((_, time), _)| *time).max();
                assert_eq!(newest, Vec::from_iter(latest), "{query}");
            }
        });
    }
}

/// Three files one after the other in time, with ten values each of `t1` and of `s`.
async fn three_files(world: &mut World, chosen: Option<&IndexedColumns>) {
    for file in 0..3_u8 {
        let row = |n: u8| {
            (
                [Some(n % 2), Some(10 * file + n), Some(10 * file + n), None],
                100 * i64::from(file) + i64::from(n),
            )
        };
        let rows: Vec<TextRow> = (0..10).map(row).collect();
        world.put_indexed(&rows, chosen).await;
    }
}

async fn check_files(world: &World, condition: &str, opened: usize, rows: usize) {
    let query = format!("SELECT * FROM m WHERE {condition}");
    assert_eq!(read_texts(&world.text_sql(&query).await).len(), rows, "{condition}");
    let plan = world.text_plan(&query).await;
    let found = (metric(&plan, "files_opened"), metric(&plan, "files_excluded"));
    assert_eq!(found, (opened, 3 - opened), "{condition}\n{plan}");
}

#[test]
fn files_without_a_wanted_value_are_not_opened() {
    run(async {
        let mut world = World::start().await;
        let columns: IndexedColumns = ["t1", "s"].map(Arc::from).into();
        three_files(&mut world, Some(&columns)).await;
        check_files(&world, "t1 = '14'", 1, 1).await;
        check_files(&world, "t1 IN ('14', '3')", 2, 2).await;
        check_files(&world, "t1 = '14' OR t1 = '15'", 1, 2).await;
        check_files(&world, "s = '27'", 1, 1).await;
        check_files(&world, "s IN ('0', '27', '77')", 2, 2).await;
        check_files(&world, "s = '14' AND t1 = '15'", 1, 0).await;
        check_files(&world, "s = '14' AND t1 = '25'", 0, 0).await;
        check_files(&world, "t1 = '77'", 0, 0).await;
        check_files(&world, "u = '1'", 0, 0).await;
        check_files(&world, "t1 = '14' OR s = '27'", 3, 2).await;
        check_files(&world, "t1 <> '14'", 3, 29).await;
        check_files(&world, "upper(t1) = '14'", 3, 1).await;
        // Opened by the next query, and not asked for again.
        world.objects.take_reads();
        check_files(&world, "t1 = '77'", 0, 0).await;
        assert_eq!(world.objects.take_reads().0, 0);
    });
}

#[test]
fn a_newer_file_without_the_value_hides_what_it_replaces() {
    run(async {
        let mut world = World::start().await;
        let columns: IndexedColumns = ["t1", "s"].map(Arc::from).into();
        let row = |s, u| ([Some(0), Some(1), s, u], 5);
        for (s, u) in [(Some(1), Some(1)), (Some(2), None), (None, Some(3))] {
            world.put_indexed(&[row(s, u)], Some(&columns)).await;
        }
        // The value that was replaced is in a file, the one that it was replaced by in another.
        check_files(&world, "s = '1'", 3, 0).await;
        check_files(&world, "s = '2'", 3, 1).await;
        check_files(&world, "s = '2' AND u = '3'", 3, 1).await;
        check_files(&world, "s = '9'", 0, 0).await;
    });
}

#[test]
fn damaged_files_are_found_out_whatever_is_looked_for() {
    run(async {
        let mut world = World::start().await;
        let columns: IndexedColumns = ["t1"].map(Arc::from).into();
        three_files(&mut world, Some(&columns)).await;
        let view = world.view().await;
        let file = view.files.iter().min_by_key(|file| file.id).expect("three");
        let path = Path::from(paths::parquet_file("n", file));
        let object = world.objects.inner.get(&path).await.expect("is there");
        let mut bytes = object.bytes().await.expect("reads").to_vec();
        // Somewhere among the filters, which stand before the page indexes.
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        world.objects.inner.put(&path, bytes.into()).await.expect("stored");
        let query = "SELECT * FROM m WHERE t1 = '3'";
        let config = SessionConfig::new().with_extension(Arc::new(world.context(0)));
        let session = SessionContext::new_with_config(config);
        let provider = StoredTable::new(own_table(), None);
        session.register_table("m", Arc::new(provider)).expect("registers");
        let error = session.sql(query).await.expect("plans").collect().await.expect_err("damaged");
        assert!(error.to_string().contains("is damaged"), "{error}");
    });
}
