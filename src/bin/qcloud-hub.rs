//! `qcloud-hub`: parse, run, say the error once, exit.

use qcloud_agent::card::Exit;
use qcloud_agent::hub::cli;
use std::io::{self, Write};
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let matches = match cli::tree().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // A terminal that is gone takes no text.
            let _ = error.print();
            return code.code().into();
        }
    };
    let targets = Targets::new().with_default(LevelFilter::WARN);
    let targets = targets.with_target("qcloud_agent", LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(targets).with(lines).init();
    match cli::run(&matches) {
        Ok(exit) => exit.code().into(),
        Err(failure) => {
            let hint = failure.hint.as_ref().map(|hint| format!("hint: {hint}\n"));
            let text = format!("error: {failure}\n{}", hint.unwrap_or_default());
            let _ = io::stderr().lock().write_all(text.as_bytes());
            failure.exit.code().into()
        }
    }
}
