//! How the module is linked: Python's own symbols are those of the interpreter that loads it.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
