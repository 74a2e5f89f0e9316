//! Labels of series in the text form of Prometheus,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

/// The value of a label as the format has it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
