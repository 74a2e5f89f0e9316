//! What `influxdb3 plugin init` writes for each kind of plugin.

use clap::ValueEnum;

/// When a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// When rows were written
    Write,
    /// At the instants of a schedule
    Schedule,
    /// When somebody asks over HTTP
    Request,
}

const TEST: &str = include_str!("plugin_templates/test.py");

const WRITE_CASE: &str = r#"    def test_it_counts_rows(self):
        local = Local()
        batches = [{"table_name": "cpu", "rows": [{"usage": 1.0}, {"usage": 2.0}]}]
        NAME.process_writes(local, batches, {"table": "counts"})
        self.assertEqual(local.written, [{"measurement": "counts", "table": "cpu", "rows": 2}])
"#;

const SCHEDULE_CASE: &str = r#"    def test_it_counts_rows(self):
        local = Local([[{"rows": 3}]])
        NAME.process_scheduled_call(local, "now", {"source": "cpu"})
        self.assertEqual(local.written, [{"measurement": "row_counts", "table": "cpu", "rows": 3}])

    def test_the_source_is_needed(self):
        local = Local()
        NAME.process_scheduled_call(local, "now")
        self.assertEqual(local.said, ["the argument source is missing"])
"#;

const REQUEST_CASE: &str = r#"    def test_it_answers(self):
        answer = NAME.process_request(Local(), {"name": "you"}, {}, b'{"a": 1}')
        self.assertEqual(answer, {"greeting": "hello", "name": "you", "given": {"a": 1}})

    def test_a_body_that_is_no_json_is_refused(self):
        answer = NAME.process_request(Local(), {}, {}, b"{")
        self.assertEqual(answer, ({"error": "the body is not JSON"}, 400))
"#;

impl Kind {
    /// The plugin, under this name.
    pub(super) fn plugin(self, name: &str) -> String {
        let text = match self {
            Self::Write => include_str!("plugin_templates/write.py"),
            Self::Schedule => include_str!("plugin_templates/schedule.py"),
            Self::Request => include_str!("plugin_templates/request.py"),
        };
        text.replace("NAME", name)
    }

    /// Its test.
    pub(super) fn test(self, name: &str) -> String {
        let (case, run) = match self {
            Self::Write => (WRITE_CASE, "--lp 'cpu usage=1'"),
            Self::Schedule => (SCHEDULE_CASE, "--schedule '0 * * * * *'"),
            Self::Request => (REQUEST_CASE, "--request"),
        };
        TEST.replace("CASE\n", case).replace("RUN", run).replace("NAME", name)
    }
}
