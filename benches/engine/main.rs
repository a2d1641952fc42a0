//! What the engine takes, stage by stage: `cargo bench --bench engine`, or a
//! part of it with `-- matching`. `docs/performance.md` has the figures of the
//! whole program beside those of others.

#![expect(
    clippy::expect_used,
    reason = "without its material there is nothing to measure"
)]

mod correlation;
mod events;
mod fields;
mod loading;
mod matching;
mod output;
mod reading;
mod rules;

fn main() {
    divan::main();
}
