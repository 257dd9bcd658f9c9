use proptest::prelude::{Strategy as _, any, proptest};
use rstest::rstest;

use super::*;

#[rstest]
#[case("0", 0, "0s")]
#[case("0s", 0, "0s")]
#[case("90s", 90_000_000_000, "1m30s")]
#[case("1.5h", 5_400_000_000_000, "1h30m0s")]
#[case("1h", 3_600_000_000_000, "1h0m0s")]
#[case("500ms", 500_000_000, "500ms")]
#[case("1500ms", 1_500_000_000, "1.5s")]
#[case("1500us", 1_500_000, "1.5ms")]
#[case("1500µs", 1_500_000, "1.5ms")]
#[case("1500ns", 1_500, "1.5µs")]
#[case("7ns", 7, "7ns")]
#[case("-10s", -10_000_000_000, "-10s")]
#[case("+2m", 120_000_000_000, "2m0s")]
#[case("1000000100ns", 1_000_000_100, "1.0000001s")]
#[case(".5s", 500_000_000, "500ms")]
#[case("1.s", 1_000_000_000, "1s")]
fn reads_and_writes_like_go(#[case] text: &str, #[case] nanoseconds: i128, #[case] canonical: &str) {
    let duration: Duration = text.parse().unwrap();
    assert_eq!(duration.nanoseconds(), Some(nanoseconds));
    assert_eq!(duration.as_str(), text, "the text is kept");
    assert_eq!(duration.canonical().as_str(), canonical);
    let again: Duration = canonical.parse().unwrap();
    assert_eq!(again.nanoseconds(), Some(nanoseconds));
}

#[rstest]
#[case("")]
#[case("10")]
#[case("abc")]
#[case("s")]
#[case(".s")]
#[case("1.2.3s")]
#[case("1d")]
#[case("1 s")]
#[case(" 1s")]
#[case("-")]
#[case("99999999999h")]
#[case("1s2")]
fn a_text_that_is_no_duration_is_refused_but_can_be_read(#[case] text: &str) {
    let error = text.parse::<Duration>().unwrap_err();
    assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    let stored: Duration = serde_json::from_value(text.into()).unwrap();
    assert_eq!((stored.nanoseconds(), stored.as_std()), (None, None));
    assert_eq!(
        serde_json::to_value(&stored).unwrap(),
        text,
        "nothing is lost when it is written back"
    );
}

#[test]
fn converts_from_and_to_the_standard_library() {
    let std = std::time::Duration::from_millis(90_500);
    assert_eq!(Duration::from(std).as_str(), "1m30.5s");
    assert_eq!(Duration::from(std).as_std(), Some(std));
    assert_eq!("-1s".parse::<Duration>().unwrap().as_std(), None);
    assert_eq!(
        Duration::from(std::time::Duration::MAX).as_str(),
        "2562047h47m16.854775807s"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(nanoseconds in any::<i64>().prop_filter("Go's shortest has no positive twin", |n| *n != i64::MIN)) {
        let written = Duration::from_nanoseconds(i128::from(nanoseconds));
        let read: Duration = written.as_str().parse().unwrap();
        assert_eq!(read.nanoseconds(), Some(i128::from(nanoseconds)), "{written}");
    }

    #[test]
    fn no_text_is_a_panic(text in "[-+0-9.a-zµ ]{0,12}") {
        let read: Duration = serde_json::from_value(text.clone().into()).unwrap();
        assert_eq!(read.nanoseconds().is_some(), text.parse::<Duration>().is_ok());
        assert_eq!(read.canonical().canonical(), read.canonical());
    }
}
