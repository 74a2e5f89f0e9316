//! Workloads, one a file.

pub(crate) mod cpu;
