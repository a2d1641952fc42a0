//! The product from outside. One test program: linking once is most of the time that tests take.

mod docs;
mod layout;
