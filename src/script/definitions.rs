//! The host interface as a definition file, from which an editor completes and explains.

use std::fmt::Write;

use crate::script::host::ENTRIES;

/// The text of `rulectl.d.rhai`.
#[must_use]
pub fn definitions() -> String {
    let mut out = String::from(
        "// What rulectl gives to scripts, for editors. A test makes this file.\nmodule static;\n",
    );
    for entry in &ENTRIES {
        let _ = write!(out, "\n/// {}\n{};\n", entry.doc, entry.signature);
    }
    out
}
