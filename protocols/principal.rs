//! On whose behalf something is asked.

/// Who a request comes from, as far as the server knows. Made once at each edge and carried with
/// the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Whoever can connect: there are no tokens.
    #[default]
    Everybody,
}
