//! `rulectl lsp`: what an editor asks of a policy while somebody writes it.
//!
//! A message comes in, and messages go out: [`session`] is that, one after the other. What is wrong
//! says the same code as `check`, over the files with the open texts in their place ([`folder`]).

mod desk;
mod folder;
mod lines;
mod mend;
mod names;
mod outline;
mod paths;
mod session;
mod shape;
mod told;
mod wire;

use std::io::{self, BufRead, Write};

use chrono::NaiveDate;
use serde_json::{Value, json};

use self::session::Session;
use self::wire::{Incoming, receive, send};

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The editor said so, after it asked for it.
    Orderly,
    /// It did not: it is gone, or sent what is no message.
    Abrupt,
}

/// Answers an editor until it says that it is enough. `today` tells the day on which comments that
/// suppress warnings must hold.
///
/// # Errors
///
/// Says that one of the streams failed.
pub fn serve(
    input: &mut impl BufRead,
    output: &mut impl Write,
    today: impl Fn() -> NaiveDate + 'static,
) -> io::Result<Ended> {
    let mut session = Session::new(Box::new(today));
    loop {
        let answers = match receive(input)? {
            Incoming::Message(message) => {
                if let Some(ended) = session.ends_with(&message) {
                    return Ok(ended);
                }
                session.take(&message)
            }
            Incoming::NotJson(reason) => vec![refused(-32700, &format!("not JSON: {reason}"))],
            Incoming::TooLong(length) => {
                let message = format!("a message of {length} bytes is too long");
                vec![refused(-32600, &message)]
            }
            Incoming::NoHeader => {
                let message = "expected `Content-Length: N` and an empty line before a message";
                send(output, &refused(-32700, message))?;
                return Ok(Ended::Abrupt);
            }
            Incoming::End => return Ok(Ended::Abrupt),
        };
        for answer in &answers {
            send(output, answer)?;
        }
    }
}

/// The answer to what cannot be told to be a request.
fn refused(code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}})
}
