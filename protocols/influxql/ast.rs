//! The tree of a statement.

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `SELECT`
    Select(Box<Select>),
    /// `EXPLAIN`
    Explain(Box<Explain>),
    /// `SHOW`
    Show(Box<Show>),
    /// `CREATE DATABASE`
    CreateDatabase {
        /// Its name.
        name: String,
        /// What `WITH` says of its first retention policy.
        policy: PolicySettings,
    },
    /// `DROP DATABASE`
    DropDatabase {
        /// Its name.
        name: String,
    },
    /// `DROP MEASUREMENT`
    DropMeasurement {
        /// Its name.
        name: String,
    },
    /// `CREATE RETENTION POLICY`
    CreatePolicy {
        /// Its name.
        name: String,
        /// The database that it is for.
        on: String,
        /// What it says.
        settings: PolicySettings,
    },
    /// `ALTER RETENTION POLICY`
    AlterPolicy {
        /// Its name.
        name: String,
        /// The database that it is for.
        on: String,
        /// What it says from now on.
        settings: PolicySettings,
    },
    /// `DROP RETENTION POLICY`
    DropPolicy {
        /// Its name.
        name: String,
        /// The database that it is for.
        on: String,
    },
    /// `DROP SERIES`
    DropSeries {
        /// Whose rows.
        from: Vec<Source>,
        /// Of which series.
        condition: Option<Expr>,
    },
    /// `DELETE`
    Delete {
        /// Whose rows; none means of all measurements.
        from: Vec<Source>,
        /// Which rows.
        condition: Option<Expr>,
    },
}

/// How long a retention policy keeps rows, and what else it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// How long rows are kept, in nanoseconds; zero is for ever.
    pub duration_ns: Option<i64>,
    /// How many servers have each row.
    pub replication: Option<u64>,
    /// The range of time of a shard, in nanoseconds.
    pub shard_duration_ns: Option<i64>,
    /// The name of a policy that is made along with a database.
    pub name: Option<String>,
    /// True if it is to be used where none is named.
    pub is_default: bool,
}

/// `EXPLAIN [ANALYZE] [VERBOSE]`
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// Run it and tell what it cost.
    pub analyze: bool,
    /// Tell every step.
    pub verbose: bool,
    /// What is to be explained: `SELECT` or `SHOW`.
    pub statement: Statement,
}

/// `SELECT`
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// What is selected.
    pub fields: Vec<Field>,
    /// From where.
    pub from: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`
    pub dimensions: Vec<Dimension>,
    /// `FILL`
    pub fill: Option<Fill>,
    /// `ORDER BY`
    pub order: Option<Order>,
    /// `LIMIT`, `OFFSET`, `SLIMIT` and `SOFFSET`
    pub bounds: Bounds,
    /// `TZ`
    pub zone: Option<String>,
}

/// `LIMIT`, `OFFSET`, `SLIMIT` and `SOFFSET`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Rows of each series.
    pub limit: Option<u64>,
    /// Rows of each series that are left out in front.
    pub offset: Option<u64>,
    /// Series.
    pub slimit: Option<u64>,
    /// Series that are left out in front.
    pub soffset: Option<u64>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its values.
    pub expr: Expr,
    /// Its name after `AS`.
    pub alias: Option<String>,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A measurement, or several.
    Measurement(Measurement),
    /// The result of another statement.
    Subquery(Box<Select>),
}

/// A measurement with what it is qualified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The database.
    pub database: Option<String>,
    /// The retention policy.
    pub policy: Option<String>,
    /// The measurement itself.
    pub name: MeasurementName,
}

/// One measurement or all that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasurementName {
    /// The one of this name.
    Name(String),
    /// Those whose names match.
    Regex(String),
}

/// What `GROUP BY` goes by.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    /// A tag.
    Tag(String),
    /// All tags.
    Wildcard,
    /// The tags whose names match.
    Regex(String),
    /// `TIME(interval, offset)`
    Time {
        /// The length of a window.
        interval: Expr,
        /// Where windows start.
        offset: Option<Expr>,
    },
}

/// What windows without rows, and nulls, become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// They are shown as they are.
    Null,
    /// Windows without rows are left out.
    None,
    /// The value before.
    Previous,
    /// What lies on the line between the values around.
    Linear,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
}

/// The order of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// An expression or a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A value.
    Literal(Literal),
    /// `$name`
    Bind(String),
    /// A column.
    Variable {
        /// Its name.
        name: String,
        /// What it is taken for.
        cast: Option<Cast>,
    },
    /// `*`
    Wildcard(Option<WildcardKind>),
    /// `DISTINCT name`, without parentheses.
    Distinct(String),
    /// A function.
    Call {
        /// Its name in lower case.
        name: String,
        /// What it is called with.
        args: Vec<Expr>,
    },
    /// `-x`
    Negative(Box<Expr>),
    /// Two operands.
    Binary {
        /// What is done with them.
        op: Op,
        /// The left one.
        left: Box<Expr>,
        /// The right one.
        right: Box<Expr>,
    },
    /// Two or more conditions.
    Logical {
        /// How they are joined.
        logic: Logic,
        /// The conditions.
        operands: Vec<Expr>,
    },
}

/// A value in a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `1`
    Integer(i64),
    /// An integer above what [`Literal::Integer`] holds.
    Unsigned(u64),
    /// `1.5`
    Float(f64),
    /// `'text'`
    String(String),
    /// `true`
    Boolean(bool),
    /// `1h30m`, in nanoseconds.
    Duration(i64),
    /// `/expression/`
    Regex(String),
}

/// What a column is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// A float.
    Float,
    /// A signed integer.
    Integer,
    /// An unsigned integer.
    Unsigned,
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// A field of its own type.
    Field,
    /// A tag.
    Tag,
}

/// What a wildcard stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WildcardKind {
    /// Tags only.
    Tag,
    /// Fields only.
    Field,
}

/// What is done with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `&`
    BitAnd,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

impl Op {
    /// True if the result is true or false.
    pub fn is_comparison(self) -> bool {
        self.binding() == Self::COMPARES
    }

    /// How strongly it binds.
    pub(super) fn binding(self) -> u8 {
        match self {
            Self::Multiply | Self::Divide | Self::Modulo | Self::BitAnd => 5,
            Self::Add | Self::Subtract | Self::BitOr | Self::BitXor => 4,
            _ => Self::COMPARES,
        }
    }

    const COMPARES: u8 = 3;
}

/// How conditions are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// All hold.
    And,
    /// One holds.
    Or,
}

/// `SHOW` with its clauses.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// What is listed.
    pub what: ShowWhat,
    /// `ON`: the database; `*` is none.
    pub on: Option<String>,
    /// `FROM`
    pub from: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `LIMIT` and `OFFSET`
    pub bounds: Bounds,
}

/// What is listed.
#[derive(Clone, Debug, PartialEq)]
pub enum ShowWhat {
    /// `DATABASES`
    Databases,
    /// `RETENTION POLICIES`
    RetentionPolicies,
    /// `MEASUREMENTS [WITH MEASUREMENT …]`
    Measurements(Option<MeasurementMatch>),
    /// `TAG KEYS`
    TagKeys,
    /// `FIELD KEYS`
    FieldKeys,
    /// `TAG VALUES WITH KEY …`
    TagValues(KeyMatch),
    /// `SERIES`
    Series,
    /// `… [EXACT] CARDINALITY`
    Cardinality {
        /// Of what.
        of: Counted,
        /// By measurement, where it is about a database otherwise.
        exact: bool,
    },
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// `SERIES`
    Series,
    /// `MEASUREMENT`
    Measurements,
    /// `TAG KEY`
    TagKeys,
    /// `FIELD KEY`
    FieldKeys,
    /// `TAG VALUES … WITH KEY …`
    TagValues(KeyMatch),
}

/// Which measurements are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasurementMatch {
    /// `= name`
    Is(String),
    /// `=~ /…/`
    Matches(String),
}

/// Which keys are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    /// `= key`
    Is(String),
    /// `!= key`
    IsNot(String),
    /// `=~ /…/`
    Matches(String),
    /// `!~ /…/`
    MatchesNot(String),
    /// `IN (key, …)`
    In(Vec<String>),
}
