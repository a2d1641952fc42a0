//! The product from outside. One test program: linking once is most of the time that tests take.
//!
//! | module | what it holds still |
//! |---|---|
//! | `harness` | running a policy over events in memory, and the program over files |
//! | `diagnostics` | broken policy folders and what `check` says of them |
//! | `explained` | the page of each code, with its example |
//! | `agents` | agents that an engineer declares, and what they write |
//! | `ask` | questions about the tenant |
//! | `audit` | a writer that is killed, and the commands of the audit |
//! | `canary` | secrets, in nothing that a run asks, writes and says |
//! | `killed` | real runs that are killed, and what they leave |
//! | `semantics` | what is a finding and what is not |
//! | `correlations` | every type of correlation: timelines that just hit and just miss |
//! | `events` | the bundled logs and rules |
//! | `explain` | why a rule holds for an event or does not |
//! | `cli` | exit codes, formats, inputs |
//! | `okta` | Okta's API and the System Log, against the emulated tenant |
//! | `hostile` | text that an attacker wrote |
//! | `recordings` | what a model answered, kept and said again |
//! | `filling` | runs that ask a model, on good days and on bad ones |
//! | `injection` | payloads in every field of events, and a model that obeys them |
//! | `huge` | input that is large, deep or many, and what it may cost |
//! | `schema` | the formats as JSON Schema |
//! | `scripts` | scripts as parts of rules |
//! | `power` | a rule for each need of published detections, with cases that just hit and just miss |
//! | `seeds` | the seeds of the fuzz targets |
//! | `determinism` | the same bytes from the same events |
//! | `live` | events as they come |
//! | `reload` | a live run whose policy changes |
//! | `lsp` | an editor that is served |
//! | `logic` | what changes the logic digest of a rule |
//! | `docs` | every example of the documentation |
//! | `dev` | what each save of a policy comes to |
//! | `diff` | what a change of a policy means |
//! | `diff_audits` | what a change of a policy does to what an audit records |
//! | `diff_effect` | what a change of a policy does to logs |
//! | `diff_fills` | slots that are held constant in a diff, and what depends on a model |
//! | `reports` | what a diff writes for others |
//! | `workflows` | what the workflows of `docs/github.md` run |
//! | `enrichment` | databases for what events lack |
//! | `layout` | which module imports which |

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod agents;
mod ask;
mod audit;
mod canary;
mod choices;
mod cli;
mod config;
mod correlations;
mod detect;
mod determinism;
mod dev;
mod diagnostics;
mod diff;
mod diff_audits;
mod diff_effect;
mod diff_fills;
mod docs;
mod documents;
mod enrichment;
mod events;
mod explain;
mod explained;
mod filling;
mod fixing;
mod fmt;
mod gate;
mod harness;
mod hostile;
mod huge;
mod import;
mod init;
mod injection;
mod joined;
mod killed;
mod layout;
mod live;
mod llm;
mod logic;
mod lsp;
mod okta;
mod pack;
mod power;
mod promotion;
mod questions;
mod recordings;
#[cfg(unix)]
mod reload;
mod replay;
mod reports;
mod routes;
mod schema;
mod scripted;
mod scripts;
mod seeds;
mod semantics;
mod shown;
mod tested;
mod workflows;
