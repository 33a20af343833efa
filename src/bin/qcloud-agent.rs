//! `qcloud-agent`: parse, run, exit with the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    qcloud_agent::cli::main(qcloud_agent::features::ALL, std::env::args_os()).code().into()
}
