//! What is asked of whoever sends a request.

use protocols::access::rights::SystemResource;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A known principal. What it does is allowed or not where the database is known: by the
    /// actor that is asked.
    Token,
    /// The same; `p` among the parameters may be the token.
    TokenOrParameter,
    /// The same; in a form, too.
    TokenOrForm,
    /// The right to look at this.
    System(SystemResource),
    /// The rights of an admin.
    Admin,
    /// Nothing: whoever may make the first token is decided by whether there is one.
    FirstToken,
}
