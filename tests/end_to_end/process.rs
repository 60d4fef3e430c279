//! The process: how it starts, what it says, how it ends, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use petrel_test_client::{Client, Login};
use rustix::process::Signal;
use serde_json::json;

use crate::server::{Server, run};

/// The folder, not made yet, that a server may use.
fn fresh() -> (tempfile::TempDir, std::path::PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    (parent, data)
}

async fn token(data: &Path, user: &str) -> String {
    let output = run(data, &["token", user]).await;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let token = printed.strip_suffix('\n').unwrap();
    assert!(token.split('.').count() == 3 && !token.contains(char::is_whitespace), "{printed:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    token.to_owned()
}

fn mode(of: &Path) -> u32 {
    fs::metadata(of).unwrap().permissions().mode() & 0o777
}

/// What a command says that ends with this exit code; nothing of it on stdout.
#[track_caller]
pub fn ends_with(code: i32, output: &Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn the_first_line_says_where_it_listens_and_there_it_does() {
    let mut server = Server::start().await;
    // That the line begins with `petrel listening on http://` is how the harness finds the port.
    let (host, port) = server.addr().rsplit_once(':').unwrap();
    assert_eq!(host, "127.0.0.1");
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    let page = server.request("GET", "/").send().await;
    assert_eq!(
        (page.status, &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let health = server.request("GET", "/api/health").send().await.expect(200);
    assert_eq!(health, json!({"version": env!("CARGO_PKG_VERSION"), "revision": null}));
    assert_eq!(server.next_line().await.unwrap(), "");
}

#[tokio::test]
async fn a_token_is_good_whether_it_was_made_before_the_server_first_ran_while_it_ran_or_after() {
    let parent = tempfile::tempdir().unwrap();
    let before = token(parent.path(), "ana").await;
    let mut server = Server::on(parent, &[]).await;
    let during = token(server.data(), "ana").await;
    for token in [&before, &during] {
        Client::connect(&Login::new(&server.ws(), token)).await.unwrap();
    }
    assert!(server.stop(Signal::TERM).await.success());
    let after = token(server.data(), "ana").await;
    server.start_again().await;
    for token in [&before, &during, &after] {
        Client::connect(&Login::new(&server.ws(), token)).await.unwrap();
        Client::connect(&Login::new(&server.ws(), token).token_in_query()).await.unwrap();
    }
}

#[tokio::test]
async fn what_people_write_and_the_key_are_for_their_owner_only() {
    let (_parent, data) = fresh();
    token(&data, "ana").await;
    assert_eq!((mode(&data), mode(&data.join("key"))), (0o700, 0o600));
    let key = fs::read(data.join("key")).unwrap();
    token(&data, "bo").await;
    assert_eq!(fs::read(data.join("key")).unwrap(), key, "one key for all");
}

#[tokio::test]
async fn a_name_that_is_no_user_id_gets_no_token() {
    let (_parent, data) = fresh();
    for name in ["", "ana bo", "ana:bo", "ana/bo", "änä", &"x".repeat(65)] {
        let output = run(&data, &["token", name]).await;
        let expected =
            format!("petrel: {name:?} is no user id: 1 to 64 of A-Z a-z 0-9 _ . | @ -\n");
        assert_eq!(ends_with(1, &output), expected);
    }
}

#[tokio::test]
async fn a_second_server_keeps_away_from_the_data_of_the_first() {
    let server = Server::start().await;
    let data = server.data();
    let output = run(data, &["serve", "--addr", "127.0.0.1:0"]).await;
    let expected = format!(
        "petrel: another petrel serves from {}; stop it, or choose another --data\n",
        data.display()
    );
    assert_eq!(ends_with(1, &output), expected);
    server.connect("ana").await.say("d:ana:bo", 0, "and the first lives on").await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Server::start().await;
    let (_parent, data) = fresh();
    let output = run(&data, &["serve", "--addr", server.addr()]).await;
    let said = ends_with(1, &output);
    assert!(said.starts_with(&format!("petrel: cannot listen on {}: ", server.addr())), "{said}");
    assert!(said.ends_with("; choose another --addr\n"), "{said}");
}

#[tokio::test]
async fn data_that_cannot_be_used_is_named() {
    let (parent, data) = fresh();
    let serve = ["serve", "--addr", "127.0.0.1:0"];
    let file = parent.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let said = ends_with(74, &run(&file, &serve).await);
    let expected = format!("petrel: cannot make the data folder {}: ", file.display());
    assert!(said.starts_with(&expected), "{said}");

    token(&data, "ana").await;
    fs::write(data.join("petrel.db"), "not a database ".repeat(1000)).unwrap();
    let said = ends_with(65, &run(&data, &serve).await);
    assert!(
        said.starts_with(&format!("petrel: cannot open the database in {}: ", data.display())),
        "{said}"
    );
    assert!(said.lines().count() == 1, "{said}");

    fs::write(data.join("key"), "short").unwrap();
    let said = ends_with(65, &run(&data, &serve).await);
    let expected = format!(
        "petrel: the key {} is damaged; remove it, and every token with it\n",
        data.join("key").display()
    );
    assert_eq!(said, expected);
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_and_says_goodbye() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start().await;
        let mut ana = server.connect("ana").await;
        ana.say("d:ana:bo", 0, "see you").await;
        let (code, status) = tokio::join!(ana.wait_for_close(), server.stop(signal));
        assert_eq!((code, status.code()), (1001, Some(0)));
        server.start_again().await;
        let (batches, _) = server.connect("bo").await.sync(&json!({})).await;
        assert_eq!(batches[0]["messages"][0]["content"]["text"], "see you");
    }
}

#[tokio::test]
async fn in_memory_nothing_is_kept_but_the_key() {
    let mut server = Server::with(&["--memory"]).await;
    let token = server.token("ana");
    server.connect("ana").await.say("d:ana:bo", 0, "soon forgotten").await;
    assert!(server.stop(Signal::TERM).await.success());
    server.start_again().await;
    let mut ana = Client::connect(&Login::new(&server.ws(), &token)).await.unwrap();
    let (_, synced) = ana.sync(&json!({})).await;
    assert_eq!(synced["conversations"], json!([]));
    assert!(!server.data().join("petrel.db").exists());
}

#[tokio::test]
async fn the_page_gets_a_token_for_whoever_asks_from_this_machine_and_nobody_else_does() {
    let server = Server::start().await;
    let ask = || server.request("POST", "/local/token").json(&json!({"user": "ana"}));
    let token = ask().send().await.expect(200)["token"].as_str().unwrap().to_owned();
    Client::connect(&Login::new(&server.ws(), &token)).await.unwrap();

    // A page of another name that resolves to this machine is another site.
    let refused = ask().header("host", "evil.example").send().await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")));
    let refused = ask().header("x-forwarded-for", "203.0.113.7").send().await;
    assert_eq!(refused.status, 403, "whoever asks through a proxy is not on this machine");
    let refused = server.request("GET", "/local/state").header("host", "evil.example").send().await;
    assert_eq!(refused.status, 403);
    let refused =
        server.request("POST", "/local/token").json(&json!({"user": "no body"})).send().await;
    assert_eq!(refused.status, 400);
    // As a form of another site would send it.
    let form = server.request("POST", "/local/token").header("content-type", "text/plain");
    assert_eq!(form.text(r#"{"user":"ana"}"#).send().await.status, 400);
}

#[tokio::test]
async fn a_server_that_gives_out_no_tokens_takes_those_of_its_owner() {
    let server = Server::with(&["--no-login"]).await;
    let refused = server.request("POST", "/local/token").json(&json!({"user": "ana"})).send().await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")));
    let token = token(server.data(), "ana").await;
    Client::connect(&Login::new(&server.ws(), &token)).await.unwrap();
}
