use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[test]
fn a_command_ends_with_a_nul_byte() {
    assert_eq!(encode("show version"), b"show version\0");
}

#[rstest]
#[case("router bgp 1\nno router bgp 2")]
#[case("router bgp 1\r\nx")]
#[case("router bgp 1\0x")]
fn nothing_can_hide_behind_a_command(#[case] command: &str) {
    assert_eq!(encode(command), b"router bgp 1\0");
}

#[test]
fn replies_are_cut_apart() {
    let mut decoder = Decoder::new();
    decoder.push(b"\0\0\0\0% Unknown command\n\0\0\0\x02half");
    assert_eq!(
        decoder.reply(),
        Some(Reply {
            text: String::new(),
            status: Status::Success
        })
    );
    let unknown = Reply {
        text: "% Unknown command\n".into(),
        status: Status::Unknown,
    };
    assert_eq!(decoder.reply(), Some(unknown));
    assert_eq!(decoder.reply(), None);
    assert!(decoder.is_within_reply());
    decoder.push(b"\0\0\0");
    assert_eq!(decoder.reply(), None, "the status is missing");
    decoder.push(b"\x0d");
    assert_eq!(
        decoder.reply(),
        Some(Reply {
            text: "half".into(),
            status: Status::Refused
        })
    );
    assert!(!decoder.is_within_reply());
}

#[rstest]
#[case(0, Status::Success)]
#[case(1, Status::Warning)]
#[case(2, Status::Unknown)]
#[case(13, Status::Refused)]
#[case(6, Status::Other(6))]
fn status_bytes_have_a_meaning(#[case] byte: u8, #[case] status: Status) {
    assert_eq!(Status::from(byte), status);
}

proptest! {
    /// However the bytes of several replies are cut into reads, the same replies come out.
    #[test]
    fn reads_may_be_cut_anywhere(
        replies in proptest::collection::vec(("[a-z \n]{0,20}", prop::sample::select(vec![0_u8, 1, 2, 13])), 0..6),
        cuts in proptest::collection::vec(1_usize..9, 1..40),
    ) {
        let bytes: Vec<u8> = replies
            .iter()
            .flat_map(|(text, status)| [text.as_bytes(), &MARK, &[*status]].concat())
            .collect();
        let mut decoder = Decoder::new();
        let mut decoded = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            decoder.push(now);
            decoded.extend(std::iter::from_fn(|| decoder.reply()));
            rest = later;
        }
        let expected: Vec<Reply> = replies
            .into_iter()
            .map(|(text, status)| Reply { text, status: status.into() })
            .collect();
        prop_assert_eq!(decoded, expected);
        prop_assert!(!decoder.is_within_reply());
    }
}
