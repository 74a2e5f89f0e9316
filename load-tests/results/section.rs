//! Sections of `RESULTS.md` that a profile writes. They stand between marks; the rest of the page is
//! written by hand and stays.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One section.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// In its marks and in the names of its plots.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// Paragraphs and tables.
    pub(crate) text: String,
    /// Titles, and SVG documents.
    pub(crate) plots: Vec<(String, String)>,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &str) -> Self {
        Self { id, title: title.to_owned(), text: String::new(), plots: Vec::new() }
    }

    /// Adds a paragraph or a table.
    pub(crate) fn add(&mut self, paragraph: &str) {
        self.text += paragraph.trim_end();
        self.text += "\n\n";
    }

    /// Puts the section into the page in a folder, and its plots into `plots` below it.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let plots = folder.join("plots");
        fs::create_dir_all(&plots).with_context(|| format!("cannot create {}", plots.display()))?;
        let mut body = format!("## {}\n\n{}", self.title, self.text);
        for (index, (title, svg)) in self.plots.iter().enumerate() {
            let name = format!("{}-{}.svg", self.id, index + 1);
            let path = plots.join(&name);
            fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
            body += &format!("![{title}](plots/{name})\n\n");
        }
        let page = folder.join("RESULTS.md");
        let before = if page.exists() {
            fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?
        } else {
            "# Measured\n".to_owned()
        };
        let after = replaced(&before, self.id, &body)?;
        fs::write(&page, after).with_context(|| format!("cannot write {}", page.display()))
    }
}

/// The page with another body between the marks of a section, or with it at the end.
fn replaced(page: &str, id: &str, body: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- measured: {id} -->"), format!("<!-- end: {id} -->"));
    let section = format!("{begin}\n{}\n{end}", body.trim_end());
    match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(until)) if from < until => {
            Ok(format!("{}{section}{}", &page[..from], &page[until + end.len()..]))
        }
        (None, None) => Ok(format!("{}\n\n{section}\n", page.trim_end())),
        _ => bail!("the marks of section {id} do not pair"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let page = "# Measured\n\nBy hand.\n";
        let once = replaced(page, "a", "one\n\n").unwrap();
        assert_eq!(once, "# Measured\n\nBy hand.\n\n<!-- measured: a -->\none\n<!-- end: a -->\n");
        let other = replaced(&once, "b", "two").unwrap() + "\nMore by hand.\n";
        let twice = replaced(&other, "a", "three").unwrap();
        assert!(twice.contains("three") && !twice.contains("one"), "{twice}");
        assert!(twice.contains("two") && twice.ends_with("More by hand.\n"), "{twice}");
    }

    #[test]
    fn marks_that_do_not_pair_are_an_error() {
        assert!(replaced("<!-- measured: a -->", "a", "x").is_err());
        assert!(replaced("<!-- end: a --> <!-- measured: a -->", "a", "x").is_err());
    }
}
