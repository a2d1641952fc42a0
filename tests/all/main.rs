//! The product from outside. One test program: linking once is most of the time that tests take.
//!
//! | module | what it holds still |
//! |---|---|
//! | `harness` | running a policy over events in memory, and the program over files |
//! | `diagnostics` | broken policy folders and what `check` says of them |
//! | `audit` | a writer that is killed, and the commands of the audit |
//! | `killed` | real runs that are killed, and what they leave |
//! | `semantics` | what is a finding and what is not |
//! | `correlations` | every type of correlation: timelines that just hit and just miss |
//! | `events` | the bundled logs and rules |
//! | `cli` | exit codes, formats, inputs |
//! | `hostile` | text that an attacker wrote |
//! | `obedient` | a model that does what an attacker tells it |
//! | `huge` | input that is large, deep or many, and what it may cost |
//! | `scripts` | scripts as parts of rules |
//! | `power` | a rule for each need of published detections, with cases that just hit and just miss |
//! | `seeds` | the seeds of the fuzz targets |
//! | `determinism` | the same bytes from the same events |
//! | `live` | events as they come |
//! | `logic` | what changes the logic digest of a rule |
//! | `docs` | every example of the documentation |
//! | `enrichment` | databases for what events lack |
//! | `diff_effect` | what a change of a policy does to logs |
//! | `layout` | which module imports which |

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod audit;
mod choices;
mod cli;
mod config;
mod correlations;
mod detect;
mod determinism;
mod diagnostics;
mod diff_effect;
mod docs;
mod documents;
mod enrichment;
mod events;
mod harness;
mod hostile;
mod huge;
mod joined;
mod killed;
mod layout;
mod live;
mod llm;
mod logic;
mod obedient;
mod power;
mod replay;
mod scripted;
mod scripts;
mod seeds;
mod semantics;
