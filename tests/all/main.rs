//! Integration tests of the library and the command line, as one binary.
//!
//! | module | what it holds still |
//! |---|---|
//! | `harness` | running a policy over events in memory, and the program over files |
//! | `diagnostics` | broken policy folders and what `check` says of them |
//! | `semantics` | what is a finding and what is not |
//! | `events` | the bundled logs and rules |
//! | `cli` | exit codes, formats, inputs |
//! | `hostile` | text that an attacker wrote |
//! | `determinism` | the same bytes from the same events |

mod cli;
mod determinism;
mod diagnostics;
mod events;
mod harness;
mod hostile;
mod semantics;
