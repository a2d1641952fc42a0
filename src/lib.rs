//! `rulectl` runs the security operations of an Okta tenant from a folder of rule files.
//!
//! The sentence of the product: *something happened, a rule noticed, we
//! decided, we suggested what to do.* The modules, in the order in which data
//! meets them:
//!
//! | module | what it is for |
//! |---|---|
//! | [`event`] | what happened: a record, its time and identity, reading it by path |
//! | [`json`] | wanted fields, straight from the bytes of a record |
//! | [`geo`] | where an address is and whose, from databases |
//! | [`diag`] | what is wrong in a file that a person wrote |
//! | [`document`] | such a file as a tree in which everything knows its place |
//! | [`fmt`] | the canonical layout of such a file |
//! | [`visible`] | log text made safe to show |
//! | [`net`] | what the clients of HTTP share |
//! | [`redact`] | fields that no record may keep |
//! | [`audit`] | what happened and was decided, in a form that proves itself |
//! | [`okta`] | what knows Okta: shapes, times, event types and fields |
//! | [`llm`] | the outside service that fills slots |
//! | [`recording`] | what it answered, to be said again without it |
//! | [`config`] | how the program is set up where it runs |
//! | [`world`] | everything outside: the clock |
//! | [`source`] | files and stdin → chunks of records |
//! | [`script`] | functions in Rhai, with every limit set |
//! | [`detect`] | Sigma documents → matches → windows → findings |
//! | [`slots`] | what a model may fill, and where a value came from |
//! | [`route`] | which agents run, under guardrails |
//! | [`risk`] | finding → risk |
//! | [`promote`] | finding and risk → incident, or why not |
//! | [`plan`] | incident → steps |
//! | [`draft`] | incident → what an agent of the engineer's writes about it |
//! | [`tools`] | what may be asked of Okta, and command templates |
//! | [`ask`] | question → calls → rows that name their places |
//! | [`command`] | steps and templates → suggested commands |
//! | [`gate`] | what a change of the policy may do |
//! | [`policy`] | all of the above from one folder, checked and immutable |
//! | [`import`] | rules of others as files of a policy |
//! | [`watch`] | whether the files of a policy have changed |
//! | [`pipeline`] | the spine |
//! | [`starter`] | the files of a folder to begin with |
//! | [`store`] | artifacts, written whole and read back |
//! | [`record`] | what a run says in the audit |
//! | [`lab`] | the same spine for tests |
//! | [`doctor`] | what works here and what does not |
//! | [`render`] | values as text |
//! | [`sandbox`] | what a process gives up that asks a tenant |
//! | [`schema`] | the formats of a policy as JSON Schema |
//! | [`lsp`] | what an editor asks of a policy |
//! | [`tenant`] | an emulated Okta tenant on loopback, apart from everything else |
//! | [`cli`] | the command line |
//!
//! `ARCHITECTURE.md` has the invariants and the reasons; a test holds the
//! `use crate::` lines against its table.

#![deny(unsafe_code)]

pub mod ask;
pub mod audit;
pub mod cli;
pub mod command;
pub mod config;
pub mod detect;
pub mod diag;
pub mod doctor;
pub mod document;
pub mod draft;
pub mod event;
pub mod fmt;
pub mod gate;
pub mod geo;
pub mod import;
pub mod json;
pub mod lab;
pub mod llm;
pub mod lsp;
pub mod net;
pub mod okta;
pub mod pipeline;
pub mod plan;
pub mod policy;
pub mod promote;
pub mod record;
pub mod recording;
pub mod redact;
pub mod render;
pub mod risk;
pub mod route;
pub mod sandbox;
pub mod schema;
pub mod script;
pub mod slots;
pub mod source;
pub mod starter;
pub mod store;
pub mod tenant;
pub mod tools;
pub mod visible;
pub mod watch;
pub mod world;
