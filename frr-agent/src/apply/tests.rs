use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::*;

/// Daemons of FRRouting 8.4 that know no command but `hostname`.
#[derive(Clone, Default)]
struct Daemons(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    hostname: String,
    /// Takes commands and does nothing.
    is_deaf: bool,
    /// How often somebody asked what the daemons run with.
    looks: u32,
}

impl Daemons {
    /// A directory with their sockets.
    fn start(&self, daemons: &[Daemon]) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "frr-agent-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for daemon in daemons {
            let listener = UnixListener::bind(folder.join(daemon.socket())).unwrap();
            let told = self.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(told.clone().serve(stream));
                }
            });
        }
        folder
    }

    async fn serve(self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut commands = BufReader::new(reader).split(0);
        while let Some(command) = commands.next_segment().await.unwrap() {
            let mut answer = self.answer(&String::from_utf8(command).unwrap()).into_bytes();
            answer.extend([0; 4]);
            writer.write_all(&answer).await.unwrap();
        }
    }

    fn answer(&self, command: &str) -> String {
        let mut told = self.0.lock().unwrap();
        match command {
            "show version" => return "FRRouting 8.4.4 (a)\n".to_owned(),
            "show running-config" => {
                told.looks += 1;
                return format!("hostname {}\n", told.hostname);
            }
            _ => {}
        }
        if let Some(hostname) = command.strip_prefix("hostname ")
            && !told.is_deaf
        {
            told.hostname = hostname.to_owned();
        }
        String::new()
    }

    /// How often the daemons have been asked since this was called last.
    fn looks(&self) -> u32 {
        std::mem::take(&mut self.0.lock().unwrap().looks)
    }
}

fn hostname(name: &str) -> Arc<Config> {
    Arc::new(Config::parse(&format!("hostname {name}\n")))
}

const ALL: [Daemon; 4] = [Daemon::Zebra, Daemon::Bgpd, Daemon::Bfdd, Daemon::Staticd];

#[tokio::test]
async fn daemons_are_asked_when_there_is_a_doubt_and_only_then() {
    let daemons = Daemons::default();
    let mut frr = Frr::new(&daemons.start(&ALL));
    let first = frr.bring_to(&hostname("a")).await;
    assert!(first.is_success() && !first.is_unverified, "{first:?}");
    assert_eq!(daemons.looks(), 8, "before and after");

    let wanted = hostname("b");
    for sent in [1, 0] {
        let outcome = frr.bring_to(&wanted).await;
        assert!(outcome.is_success() && outcome.is_unverified, "{outcome:?}");
        assert_eq!((outcome.sent, daemons.looks()), (sent, 0));
    }
    assert_eq!(daemons.0.lock().unwrap().hostname, "b");

    frr.doubt();
    let outcome = frr.bring_to(&wanted).await;
    assert!(outcome.is_success() && !outcome.is_unverified, "{outcome:?}");
    assert_eq!(
        (outcome.running.as_deref(), daemons.looks()),
        (Some("hostname b\n"), 4)
    );
}

#[tokio::test]
async fn what_was_taken_without_effect_is_found_out_and_not_believed_again() {
    let daemons = Daemons::default();
    let mut frr = Frr::new(&daemons.start(&ALL));
    assert!(frr.bring_to(&hostname("a")).await.is_success());
    daemons.0.lock().unwrap().is_deaf = true;
    assert!(frr.bring_to(&hostname("b")).await.is_unverified);
    frr.doubt();
    for name in ["b", "c"] {
        let outcome = frr.bring_to(&hostname(name)).await;
        assert!(
            !outcome.is_success() && outcome.summary().contains("do not take effect"),
            "{outcome:?}"
        );
    }
    daemons.0.lock().unwrap().is_deaf = false;
    let outcome = frr.bring_to(&hostname("c")).await;
    assert!(outcome.is_success() && !outcome.is_unverified, "{outcome:?}");
}

#[tokio::test]
async fn a_daemon_that_is_away_does_not_make_the_others_be_asked_all_the_time() {
    let daemons = Daemons::default();
    let folder = daemons.start(&ALL[..3]);
    let mut frr = Frr::new(&folder);
    let wanted = hostname("a");
    let outcome = frr.bring_to(&wanted).await;
    assert!(
        !outcome.is_success() && outcome.summary().contains("staticd"),
        "{outcome:?}"
    );
    daemons.looks();
    for _ in 0..3 {
        assert!(!frr.bring_to(&wanted).await.is_success());
    }
    assert_eq!(daemons.looks(), 0);
}
