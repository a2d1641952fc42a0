//! The product from outside. One test program: linking once is most of the time that tests take.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod docs;
mod layout;
