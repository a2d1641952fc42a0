//! The product from outside: the command line, the library's front door, the documentation and the layout.

mod layout;
