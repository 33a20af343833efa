//! A yes that is typed, for what may hold more of people than they think of.

use super::Failed;
use crate::card::Exit;
use crate::report::options::Acknowledged;
use std::io::{BufRead, IsTerminal, Read, Write};

/// The longest answer that is read.
const MOST_ANSWER: u64 = 256;

/// Asks for a word to be typed, after a text that says what it stands for. `yes` answers for a script.
///
/// # Errors
/// [`Exit::Consent`] when another word was typed, or when nobody is there to be asked.
pub fn acknowledge(text: &str, word: &str, yes: bool) -> Result<Acknowledged, Failed> {
    let refused = |why: &str| Failed {
        exit: Exit::Consent,
        text: format!(
            "{why}; nothing was made\n{text}\nhint: in scripts, --yes stands for the typed word"
        ),
    };
    if yes || crate::sabotage::off("report-acknowledged") {
        return Ok(Acknowledged::Yes);
    }
    let mut screen = std::io::stderr();
    if !std::io::stdin().is_terminal() || !screen.is_terminal() {
        return Err(refused("nobody agreed: there is no terminal to ask at"));
    }
    // A terminal that went away answers nothing below.
    let _ = write!(screen, "{text}\nType {word} to go on: ");
    let _ = screen.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().take(MOST_ANSWER).read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == word => Ok(Acknowledged::Typed),
        Ok(_) | Err(_) => Err(refused("nobody agreed")),
    }
}
