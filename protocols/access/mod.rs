//! Who may do what: tokens, the rights that they carry, and the one function that decides.

pub mod credentials;
mod named;
pub mod recent;
pub mod rights;
pub mod tokens;

#[cfg(test)]
mod tests;
