//! Asking before something goes that does not come back.

use std::io::stdin;

use anyhow::{Result, bail};

/// Asks whether to delete what is called `name`.
pub(super) fn confirm(name: &str) -> Result<()> {
    eprintln!("Are you sure you want to delete {name}? Enter 'yes' or 'y' to confirm");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    if !matches!(answer.trim(), "yes" | "y") {
        bail!("Cannot proceed without confirmation");
    }
    Ok(())
}
