//! The engine's texts in the words of who wrote the statement.
//!
//! What a text is about stays; names of the engine's parts, its advice to report a bug and its
//! values as Rust prints them do not.

/// What separates the levels of an error, outermost first.
const CAUSED_BY: &str = "\ncaused by\n";

/// Where the engine begins to say that it is to blame.
const BUG_ADVICE: &str = "\nThis issue was likely caused by a bug in DataFusion's code";

/// Words of the engine and what they are here.
const REPLACED: [(&str, &str); 5] = [
    ("Dictionary(Int32, Utf8)", "Tag"),
    ("Arrow error: ", ""),
    ("External error: ", ""),
    ("Error during planning: Execution error: ", "Error during planning: "),
    ("Error during planning: Internal error: ", "Error during planning: "),
];

/// Texts that end in what only the engine understands, with what is said instead of that.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("Unsupported ast node in sqltorel: ", "this kind of expression"),
    ("Unsupported ast node ", "this kind of table"),
    ("Physical plan does not support logical expression ", "this expression here"),
];

/// Rules that a statement is analyzed with; each adds its name to errors.
const RULES: [&str; 5] = [
    "checked_arithmetic",
    "lossless_casts",
    "resolve_grouping_function",
    "three_valued_subqueries",
    "type_coercion",
];

/// A text of the engine in the user's words.
pub(super) fn in_users_words(text: &str) -> String {
    let levels: Vec<&str> = text.split(CAUSED_BY).filter(|level| !is_about_a_rule(level)).collect();
    // A text that is about nothing else is kept.
    let text = if levels.is_empty() { text.to_owned() } else { levels.join(CAUSED_BY) };
    let text = text.split(BUG_ADVICE).next().unwrap_or_default();
    let mut text = without_signatures(text).unwrap_or_else(|| text.to_owned());
    for (engine, ours) in REPLACED {
        text = text.replace(engine, ours);
    }
    for (prefix, ours) in UNSUPPORTED {
        if let Some(at) = text.find(prefix) {
            text.replace_range(at.., ours);
        }
    }
    without_debug(&text)
}

/// True for a level that only says which part of the engine noticed.
fn is_about_a_rule(level: &str) -> bool {
    let starts = |start: &str| level.starts_with(start);
    starts("Optimizer rule '") && level.ends_with("' failed")
        || starts("Check optimizer-specific invariants")
        || starts("PhysicalOptimizer rule '") && level.ends_with("' failed")
        || RULES.contains(&level)
}

/// `Function 'f' failed to match any signature, errors: …`: what it takes and what it got.
fn without_signatures(text: &str) -> Option<String> {
    let (before, after) = text.split_once("Function '")?;
    let (name, list) = after.split_once("' failed to match any signature, errors: ")?;
    let (mut takes, mut got): (Vec<&str>, Option<&str>) = (Vec::new(), None);
    for part in list.split(&format!("Function '{name}' requires ")).skip(1) {
        let (required, rest) = part.split_once(", but received ")?;
        if !takes.contains(&required) {
            takes.push(required);
        }
        let end = rest.find(" (DataType: ")?;
        got = Some(&rest[..end]);
    }
    let got = got?;
    let takes = match takes.as_slice() {
        [] => return None,
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    };
    Some(format!("{before}the function '{name}' takes {takes}, not {got}"))
}

/// The text with `Name { … }` and what stands around it as Rust prints values replaced by `…`.
fn without_debug(text: &str) -> String {
    let Some(brace) = text.find(" { ").filter(|at| is_type_name(text, *at)) else {
        return text.to_owned();
    };
    let mut start = name_start(text, brace);
    // `Some(Column { … })` goes as a whole.
    while text[..start].ends_with('(') {
        let outer = name_start(text, start - 1);
        if outer == start - 1 {
            break;
        }
        start = outer;
    }
    let mut depth = 0_usize;
    let mut end = text.len();
    for (at, c) in text[start..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    end = start + at + c.len_utf8();
                    break;
                }
            }
            _ => {}
        }
    }
    format!("{}…{}", &text[..start], without_debug(&text[end..]))
}

fn name_start(text: &str, end: usize) -> usize {
    text[..end]
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))
}

/// True if a name that begins with a capital letter ends here.
fn is_type_name(text: &str, end: usize) -> bool {
    text[name_start(text, end)..end].starts_with(|c: char| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_about_the_statement() {
        for (engine, ours) in [
            ("Error during planning: no", "Error during planning: no"),
            (
                "Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: Cast error: \
                 Can't cast value 1e300 to type Int64",
                "Cast error: Can't cast value 1e300 to type Int64",
            ),
            ("type_coercion\ncaused by\nouter\ncaused by\ninner", "outer\ncaused by\ninner"),
            ("Optimizer rule 'a' failed", "Optimizer rule 'a' failed"),
            (
                "Error during planning: Cannot coerce arithmetic expression Dictionary(Int32, \
                 Utf8) + Int64 to valid types",
                "Error during planning: Cannot coerce arithmetic expression Tag + Int64 to valid \
                 types",
            ),
            (
                "Error during planning: Internal error: Function 'avg' failed to match any \
                 signature, errors: Error during planning: Function 'avg' requires Decimal, but \
                 received String (DataType: Dictionary(Int32, Utf8)).,Error during planning: \
                 Function 'avg' requires Float64, but received String (DataType: Dictionary(Int32, \
                 Utf8))..\nThis issue was likely caused by a bug in DataFusion's code. Please help \
                 us to resolve this by filing a bug report",
                "Error during planning: the function 'avg' takes Decimal or Float64, not String",
            ),
            (
                "This feature is not implemented: Physical plan does not support logical expression \
                 InSubquery(InSubquery { expr: Column(Column { relation: None }), negated: true })",
                "This feature is not implemented: this expression here",
            ),
            (
                "Bad Some(Column { relation: Some(Bare { table: \"m\" }), name: \"n\" }) and \
                 Ident { value: 'x' }, done",
                "Bad … and …, done",
            ),
            ("a { b } and a { b }", "a { b } and a { b }"),
        ] {
            assert_eq!(in_users_words(engine), ours);
        }
    }
}
