//! What the user's Python loads to run plugins: an extension module that speaks to the server over
//! the socket which it inherits as standard input.
//!
//! The server starts `python3`, which loads this and calls `run`. One thread reads what the server
//! says and never waits for the interpreter, so that the end of the server ends this process
//! whatever plugins do. Each trigger has a thread of its own, fed by a channel; runs that may
//! overlap have one each. What plugins see is in `host.py`, rows become Python values in
//! `columns.rs`.
//!
//! What is said is in [`protocols::plugins::host`].

mod columns;
mod link;
mod runs;

use columns::Stream;
use link::{CallError, Link};
use protocols::plugins::host::{Call, FromHost, Level, PROTOCOL};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use runs::Runs;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;

/// What plugins are run by.
const HOST: &str = include_str!("host.py");

/// What an interrupted call says.
const STOPPED: &str = "influxdb3 is shutting down; aborting plugin execution";

/// What `host.py` asks the server for.
#[pyclass(frozen)]
struct Native(Arc<Link>);

fn told(error: CallError) -> PyErr {
    match error {
        CallError::Interrupted => PyKeyboardInterrupt::new_err(STOPPED),
        CallError::Failed(text) => PyRuntimeError::new_err(text),
    }
}

#[pymethods]
impl Native {
    /// Says something; levels are numbered from 0.
    fn log(&self, py: Python<'_>, run: u64, level: u8, text: String) -> PyResult<()> {
        let level = match level {
            0 => Level::Info,
            1 => Level::Warn,
            _ => Level::Error,
        };
        py.detach(|| self.0.send(&FromHost::Log { run, level, text }, &[])).map_err(told)
    }

    /// The rows of a statement.
    fn query(
        &self,
        py: Python<'_>,
        run: u64,
        database: String,
        text: String,
        parameters: BTreeMap<String, String>,
    ) -> PyResult<Stream> {
        let what = Call::Query { database, text, parameters };
        let body = py.detach(|| self.0.call(run, what)).map_err(told)?;
        Ok(Stream::new(body.into()))
    }

    /// Writes lines at once.
    fn write(
        &self,
        py: Python<'_>,
        run: u64,
        database: String,
        lines: String,
        no_sync: bool,
    ) -> PyResult<()> {
        let what = Call::Write { database, lines, no_sync };
        py.detach(|| self.0.call(run, what)).map_err(told).map(drop)
    }
}

/// Serves the server on the other end of standard input until it is gone.
#[pyfunction]
fn run(py: Python<'_>, settings: &str) -> PyResult<()> {
    let (link, input) = link::open()?;
    let code = CString::new(HOST)?;
    let host = PyModule::from_code(py, &code, c"influxdb3_host.py", c"influxdb3_host_runtime")?;
    let native = Bound::new(py, Native(Arc::clone(&link)))?;
    host.getattr("start")?.call1((native, settings))?;
    let version = py.import("platform")?.getattr("python_version")?.call0()?.extract()?;
    let hello = FromHost::Hello { protocol: PROTOCOL, python: version };
    let runs = Runs::new(host.unbind(), Arc::clone(&link));
    py.detach(move || {
        if link.send(&hello, &[]).is_ok() {
            runs.serve(input);
        }
        // Plugins may be anywhere, in loops too: nothing is waited for.
        std::process::exit(0)
    })
}

/// The module.
#[pymodule]
fn influxdb3_host(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run, module)?)
}
