//! The server on object stores: real protocols against programs that play the stores, and the
//! stores that need none.

mod emulator;
mod faults;
mod options;
mod remote;
mod s3;
