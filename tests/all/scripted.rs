//! An endpoint on loopback that does what a script says, good or bad, a connection at a time.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What the endpoint does with one request.
#[derive(Clone)]
pub enum Act {
    /// A whole answer: status line, further header lines, body.
    Answer(&'static str, Vec<String>, String),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, one at a time with a pause between them.
    Drip(Vec<u8>, Duration),
    /// These bytes, and then the last of them again and again.
    Endless(Vec<u8>),
    /// Nothing, and the connection stays open.
    Hang,
    /// A whole answer, after a pause.
    Late(Duration, String),
}

/// Runs until it is dropped.
pub struct Scripted {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Scripted {
    /// Does one act for each request; the last one for all that follow.
    pub fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let script: Vec<Act> = script.into_iter().collect();
        Self::answering(move |turn, _| script[turn.min(script.len() - 1)].clone())
    }

    /// Does what a function says of a request: its number from 0, and its text.
    pub fn answering(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        Self::until(usize::MAX, act)
    }

    /// Does what a function says, for so many requests; then nobody listens any more.
    pub fn until(
        requests: usize,
        act: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let over = Arc::<AtomicBool>::default();
        let server = (Arc::clone(&seen), Arc::clone(&over), Arc::new(act));
        thread::spawn(move || {
            for stream in listener.incoming().flatten().take(requests) {
                let (seen, over, act) = server.clone();
                if over.load(Ordering::Relaxed) {
                    return;
                }
                thread::spawn(move || {
                    let Some(request) = request(&stream) else {
                        return;
                    };
                    let turn = {
                        let mut seen = seen.lock().expect("no panic");
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // The client may be gone before the act is over.
                    let _gone = act(turn, &request).play(stream, &over);
                });
            }
        });
        Self { port, seen, over }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The requests so far, headers and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The bodies of the requests so far.
    pub fn bodies(&self) -> Vec<Value> {
        let body = |request: &String| {
            let (_, body) = request.split_once("\r\n\r\n").expect("a body");
            serde_json::from_str(body).expect("JSON")
        };
        self.seen().iter().map(body).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the loop, which then ends.
        let _refused = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Headers and body of a request.
fn request(mut stream: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().expect("a length"))
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
}

impl Act {
    /// A completion with this text.
    pub fn says(text: &str) -> Self {
        Self::json("200 OK", &completion(text))
    }

    /// A whole JSON answer.
    pub fn json(status: &'static str, body: &Value) -> Self {
        let headers = vec!["content-type: application/json".to_owned()];
        Self::Answer(status, headers, body.to_string())
    }

    /// An error in the shape of OpenAI's.
    pub fn error(status: &'static str, message: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"message": message, "type": "invalid_request_error"}}),
        )
    }

    fn play(self, mut stream: TcpStream, over: &AtomicBool) -> std::io::Result<()> {
        match self {
            Self::Answer(status, headers, body) => {
                stream.write_all(answer(status, &headers, &body).as_bytes())
            }
            Self::Raw(bytes) => stream.write_all(&bytes),
            Self::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte])?;
                    thread::sleep(pause);
                }
                Ok(())
            }
            Self::Endless(bytes) => {
                stream.write_all(&bytes)?;
                let more = [*bytes.last().expect("a byte"); 4096];
                while !over.load(Ordering::Relaxed) {
                    stream.write_all(&more)?;
                }
                Ok(())
            }
            Self::Hang => {
                // Ends with the connection.
                stream.read(&mut [0]).map(|_| ())
            }
            Self::Late(pause, body) => {
                thread::sleep(pause);
                stream.write_all(answer("200 OK", &[], &body).as_bytes())
            }
        }
    }
}

/// A chat completion as servers send it.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "scripted-1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    })
}

/// The bytes of a whole answer.
pub fn answer(status: &str, headers: &[String], body: &str) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
