//! Texts as line protocol has them: what undoes the reading of names and values.

/// What ends a name or a value of a tag, unless a backslash is before it.
const OF_KEYS: [char; 3] = [',', '=', ' '];
/// What ends the name of a table.
const OF_TABLES: [char; 2] = [',', ' '];

/// The name of a table.
pub fn escaped_table(name: &str) -> String {
    escaped(name, &OF_TABLES)
}

/// The name of a tag or field, or the value of a tag.
pub fn escaped_key(text: &str) -> String {
    escaped(text, &OF_KEYS)
}

/// The value of a string field, quotes included.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // The end of a line and a tab are in a text with the backslash that hides them.
        let hides_next = c == '\\' && chars.peek().is_some_and(|next| matches!(next, '\n' | '\t'));
        if special.contains(&c) || (c == '\\' && !hides_next) {
            written.push('\\');
        }
        written.push(c);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::lexer::LexedLine;
    use super::super::value::Value;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_texts_are_written_as_they_are() {
        assert_eq!(escaped_key("room-1.x\u{e9}"), "room-1.x\u{e9}");
        assert_eq!(escaped_key(r"a b,c=d\"), r"a\ b\,c\=d\\");
        assert_eq!(escaped_table("a=b c"), r"a=b\ c");
        assert_eq!(quoted(r#"say "\""#), r#""say \"\\\"""#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            written in r#"[a\\ ,=\u{e9}]{1,8}(\\\n|\\\t|b)?[a\\ ,=]{0,3}"#, text in r#"[a\\" ,=\n]{0,8}"#,
        ) {
            // What line protocol can hold at all is what was read from it.
            let first = format!("m,t={} f=1", written.replace(' ', "\\ ").replace(',', "\\,"));
            let mut line = LexedLine::default();
            if line.lex(&first).is_ok() && let Some(tag) = line.tags.first() {
                let value = tag.value.to_string();
                let again = format!("{},{}={} {}={} 7", escaped_table("m"), escaped_key("t k"),
                    escaped_key(&value), escaped_key("f=,"), quoted(&text));
                let mut line = LexedLine::default();
                prop_assert!(line.lex(&again).is_ok(), "{}", again);
                prop_assert_eq!(&line.tags[0].value, &value);
                prop_assert_eq!((&*line.tags[0].key, &*line.keys[0].key), ("t k", "f=,"));
                prop_assert!(matches!(&line.values[0], Value::String(read) if *read == text));
                prop_assert_eq!(line.timestamp, Some(7));
            }
        }
    }
}
