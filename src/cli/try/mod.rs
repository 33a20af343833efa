//! stub
use super::print::Printer;
use crate::card::Exit;
/// x
pub const BREAKS: [&str; 4] = ["hub", "dns", "service", "receipt"];
/// x
pub async fn run(_: bool, _: Option<&String>, _: &Printer) -> Exit {
    Exit::Failed
}
