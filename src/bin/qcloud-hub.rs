//! `qcloud-hub`: parse, run, exit with the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    qcloud_agent::hub::cli::main(std::env::args_os()).code().into()
}
