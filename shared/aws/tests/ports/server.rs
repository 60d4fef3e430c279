//! An HTTP server on this machine that answers, or fails to, as a test says, and notes what came on which connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is done with a request.
pub enum Answer {
    /// 200 with this body, and the connection stays open.
    Body(&'static str),
    /// The same, and then the connection is closed without having said so.
    BodyThenClose(&'static str),
    /// These bytes.
    Bytes(&'static [u8]),
    /// The connection is closed.
    Close,
    /// Nothing, ever.
    Silence,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of the connection it came on, from 0.
    pub connection: usize,
    /// As it came, in lower case.
    pub head: String,
}

/// The server. Its threads end with the test.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers by what the request's head is and how many came before it.
    pub fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(vec![]));
        let (noted, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for (connection, socket) in listener.incoming().enumerate() {
                let (noted, answer) = (noted.clone(), answer.clone());
                thread::spawn(move || serve(&mut socket.unwrap(), connection, &noted, &*answer));
            }
        });
        Self { url, requests }
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    socket: &mut TcpStream,
    connection: usize,
    noted: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&str, usize) -> Answer,
) {
    while let Some(head) = request(socket) {
        let before = {
            let mut noted = noted.lock().unwrap();
            noted.push(Request { connection, head: head.clone() });
            noted.len() - 1
        };
        let body = |body: &str| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        };
        let (bytes, open) = match answer(&head, before) {
            Answer::Body(text) => (body(text), true),
            Answer::BodyThenClose(text) => (body(text), false),
            Answer::Bytes(bytes) => (bytes.to_vec(), true),
            Answer::Close => (vec![], false),
            Answer::Silence => loop {
                thread::park();
            },
        };
        if socket.write_all(&bytes).is_err() || !open {
            return;
        }
    }
}

/// The head of the next request, whose body is read too; none if the client has closed.
fn request(socket: &mut TcpStream) -> Option<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).ok()?;
    Some(head)
}
