//! What is said over Flight and Flight SQL: tickets, commands, and the handles of prepared
//! statements.
//!
//! The server keeps nothing between calls: a ticket and a handle carry all that they stand for, so
//! they outlive a restart and are good on another node. What a client made up itself is refused
//! unless it is exactly of a form that is documented here.

pub mod command;
pub mod health;
pub mod prepared;
pub mod ticket;
pub mod wire;
