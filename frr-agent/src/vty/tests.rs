use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use metallb_frr::vty::Status;
use tokio::io::BufReader;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn socket() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("frr-agent-vty-{}-{number}", std::process::id()))
}

/// A daemon that answers each command with the bytes `answer` makes of it, and hangs up when that is `None`. The
/// bytes are written one by one when `slow`.
fn daemon(slow: bool, answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> PathBuf {
    let path = socket();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut command = Vec::new();
            if reader.read_until(0, &mut command).await.unwrap_or(0) == 0 {
                return;
            }
            command.pop();
            let Some(bytes) = answer(&String::from_utf8(command).unwrap()) else {
                return;
            };
            for chunk in bytes.chunks(if slow { 1 } else { bytes.len().max(1) }) {
                writer.write_all(chunk).await.unwrap();
                writer.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    path
}

fn framed(text: &str, status: u8) -> Option<Vec<u8>> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.extend([0, 0, 0, status]);
    Some(bytes)
}

#[tokio::test]
async fn answers_are_put_together_from_pieces() {
    let path = daemon(true, |command| match command {
        "enable" => framed("", 0),
        "foo" => framed("% [BGP] Unknown command: foo\n", 2),
        command => framed(&format!("answer to {command}\n"), 0),
    });
    let mut connection = Connection::open(&path, LIMIT).await.unwrap();
    assert_eq!(
        connection.run("show version").await.unwrap().text,
        "answer to show version\n"
    );
    let refused = connection.run("foo").await.unwrap();
    assert_eq!(
        (refused.text.as_str(), refused.status),
        ("% [BGP] Unknown command: foo\n", Status::Unknown)
    );
    assert_eq!(connection.run("end").await.unwrap().text, "answer to end\n");
}

#[tokio::test]
async fn a_long_answer_is_read_whole() {
    let text = "network 10.0.0.0/24\n".repeat(50_000);
    let expected = text.clone();
    let path = daemon(false, move |command| {
        framed(if command == "enable" { "" } else { &text }, 0)
    });
    let mut connection = Connection::open(&path, LIMIT).await.unwrap();
    assert_eq!(
        connection.run("show running-config").await.unwrap().text,
        expected
    );
}

#[tokio::test]
async fn a_line_break_does_not_smuggle_in_another_command() {
    let path = daemon(false, |command| framed(command, 0));
    let mut connection = Connection::open(&path, LIMIT).await.unwrap();
    assert_eq!(
        connection.run("hostname a\nno router bgp 1").await.unwrap().text,
        "hostname a"
    );
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_given_up() {
    let path = daemon(false, |command| {
        if command == "enable" {
            framed("", 0)
        } else {
            Some(Vec::new())
        }
    });
    let mut connection = Connection::open(&path, Duration::from_millis(50)).await.unwrap();
    let error = connection
        .run("neighbor 192.0.2.1 password s3cr3t")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(!format!("{error:?} {error}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_daemon_that_hangs_up_is_told_from_one_that_refuses() {
    let path = daemon(
        false,
        |command| if command == "enable" { framed("", 0) } else { None },
    );
    let mut connection = Connection::open(&path, LIMIT).await.unwrap();
    let error = connection.run("show version").await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let path = daemon(false, |command| match command {
        "enable" => framed("", 0),
        "half" => Some(b"half\0\0".to_vec()),
        _ => None,
    });
    let mut connection = Connection::open(&path, Duration::from_millis(50)).await.unwrap();
    assert!(connection.run("half").await.is_err());
}

#[tokio::test]
async fn the_end_of_an_idle_daemon_is_noticed() {
    let path = daemon(
        false,
        |command| if command == "enable" { framed("", 0) } else { None },
    );
    let mut connection = Connection::open(&path, LIMIT).await.unwrap();
    let idle = tokio::time::timeout(Duration::from_millis(20), connection.ended()).await;
    assert!(idle.is_err(), "an idle daemon has not ended");
    assert!(connection.run("bye").await.is_err());
    connection.ended().await;
}

#[tokio::test]
async fn a_socket_without_daemon_is_named() {
    let path = socket();
    let error = Connection::open(&path, LIMIT).await.unwrap_err();
    assert!(
        matches!(&error, Error::Connect { socket, .. } if *socket == path),
        "{error}"
    );
}
