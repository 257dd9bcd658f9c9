//! Running other programs, and waiting for conditions.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs `command` and returns its standard output.
///
/// # Errors
/// It cannot be started, or ends with a status other than zero (its standard error is in the message).
pub fn output(command: &mut Command) -> Result<String> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", show(command)))?;
    if !result.status.success() {
        let text = String::from_utf8_lossy(if result.stderr.is_empty() {
            &result.stdout
        } else {
            &result.stderr
        });
        bail!("{} failed ({}): {}", show(command), result.status, text.trim());
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// Runs a line of words that hold no blanks themselves, e.g. `ip netns add lab-control`.
///
/// # Errors
/// As [`output`].
pub fn line(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command line")?;
    output(Command::new(program).args(words))
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// As [`output`].
pub fn with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", show(command)))?;
    child
        .stdin
        .take()
        .expect("standard input is piped")
        .write_all(input.as_bytes())?;
    let result = child.wait_with_output()?;
    if !result.status.success() {
        let text = String::from_utf8_lossy(&result.stderr);
        bail!("{} failed ({}): {}", show(command), result.status, text.trim());
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// Runs `command` with its output on the terminal.
///
/// # Errors
/// It cannot be started, or ends with a status other than zero.
pub fn visibly(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", show(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", show(command));
    }
    Ok(())
}

/// Whether `command` runs and ends with zero; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command that runs inside the network namespace `namespace`, and only that: mounts stay those of the caller
/// (`ip netns exec` would mount a fresh /sys, which hides the cgroup mounts containerd needs).
pub fn in_namespace(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("--")
        .arg(program);
    command
}

/// Waits until `condition` holds, asking ten times a second.
///
/// # Errors
/// It does not hold within `limit`; the message names `what` and the last reason `condition` gave.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let reason = match condition() {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        if Instant::now() >= deadline {
            return Err(reason.context(format!("{what}: not so after {} s", limit.as_secs())));
        }
        pause(Duration::from_millis(100));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where polling waits between two looks"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
