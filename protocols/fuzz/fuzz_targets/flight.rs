//! Tickets, Flight SQL commands and handles of prepared statements: no bytes make the readers
//! panic, and what is read is the same after it was written and read again.
//!
//! `deploy/fuzz 600 flight` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::flight::command::{Command, bound_statement, statement_to_prepare};
use protocols::flight::prepared::Prepared;
use protocols::flight::ticket::{Read, Ticket};

/// Values that are compared as text: NaN is not equal to itself.
fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn check_handle(bytes: &[u8]) {
    if let Ok(prepared) = Prepared::decode(bytes) {
        let again = Prepared::decode(&prepared.clone().encode());
        assert_eq!(shown(&again), shown(&Ok::<_, ()>(prepared)));
    }
}

fn check_command(bytes: &[u8]) {
    if let Ok(command) = Command::decode(bytes) {
        let ticket = Ticket::for_command("db".to_owned(), bytes.to_vec());
        let read = Ticket { db: "db".to_owned(), read: Read::FlightSql(command) };
        assert_eq!(shown(&Ticket::decode(&ticket)), shown(&Ok::<_, ()>(read)));
    }
    if let Ok(prepared) = bound_statement(bytes) {
        check_handle(&prepared.encode());
    }
    if let Ok(text) = statement_to_prepare(bytes) {
        assert!(bytes.len() >= text.len());
    }
}

fuzz_target!(|bytes: &[u8]| {
    check_handle(bytes);
    check_command(bytes);
    if let Ok(ticket) = Ticket::decode(bytes) {
        assert!(!ticket.db.is_empty() || !bytes.is_empty());
    }
});
