//! HTTP by hand, for what no library would send: a request goes out as it is written, and all that comes back is kept.

use petrel_test_client::client::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::Server;

/// Everything that the server says to these bytes until it closes; one that was told to should ask for `connection: close`.
pub async fn say(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut said = vec![];
    let talk = async {
        // A server that refuses early may have closed before everything was written.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut said).await;
    };
    let ended = timeout(PATIENCE, talk).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ended.is_ok(), "it keeps the connection, after\n{said}");
    said
}

/// One request with these header lines, and its whole answer without the date.
pub async fn ask(server: &Server, line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("host: {}\r\n", server.addr());
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("content-length: {}\r\n", body.len());
    }
    let answer = say(server, format!("{request}\r\n{body}").as_bytes()).await;
    let kept = answer.split("\r\n").filter(|line| !line.starts_with("date: "));
    kept.collect::<Vec<_>>().join("\r\n")
}

/// The status of an answer; 0 if there is none.
pub fn status(answer: &str) -> u16 {
    let line = answer.lines().next().unwrap_or_default();
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// A request of this user, with JSON.
pub async fn ask_as(server: &Server, user: &str, line: &str, body: &str) -> String {
    let bearer = format!("Bearer {}", server.token(user));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    ask(server, line, &headers, body).await
}

/// The head of what the server answers, for a connection that stays open: a socket's handshake.
pub async fn head(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = vec![];
    let reading = async {
        while !said.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => said.push(byte),
                Err(_) => break,
            }
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

/// A socket of this user whose frames are written by hand.
pub async fn socket(server: &Server, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let request = format!(
        "GET /ws?token={} HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-extensions: permessage-deflate, x-unknown; a=b\r\n\r\n",
        server.token(user),
        server.addr()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "nothing is decompressed: {head}");
    stream
}
