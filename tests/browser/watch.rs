//! What a page did besides being there: what it asked for, and what the browser complained of.

use serde_json::Value;
use std::collections::BTreeSet;

/// All of it, since the browser was opened.
#[derive(Debug, Default)]
pub struct Watch {
    /// Every address that was asked for.
    pub asked: BTreeSet<String>,
    /// Every complaint: scripts, policy, refused content.
    pub complaints: Vec<String>,
    /// The status of the last page.
    pub status: u64,
    pages: BTreeSet<String>,
}

impl Watch {
    /// Notes an event.
    pub fn take(&mut self, method: &str, params: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match method {
            "Network.requestWillBeSent" => {
                let url = text(&params["request"]["url"]);
                if params["type"] == "Document" {
                    self.pages.insert(url.clone());
                }
                // Content that is its own address, such as the browser's picture of a calendar, asks nobody.
                if !url.starts_with("data:") {
                    self.asked.insert(url);
                }
            }
            "Network.responseReceived" if params["type"] == "Document" => {
                self.status = params["response"]["status"].as_u64().unwrap_or_default();
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                // The status of a page is for the test to judge: a refusal is a page as well.
                let of_page = entry["source"] == "network"
                    && self.pages.contains(entry["url"].as_str().unwrap_or_default());
                if !of_page && entry["level"] != "verbose" {
                    self.complaints.push(format!("log: {} {}", entry["text"], entry["url"]));
                }
            }
            "Runtime.consoleAPICalled" => {
                self.complaints.push(format!("console: {}", params["args"]))
            }
            "Runtime.exceptionThrown" => {
                self.complaints.push(format!("script: {}", params["exceptionDetails"]));
            }
            "Audits.issueAdded" => {
                self.complaints.push(format!("issue: {}", params["issue"]));
            }
            _ => {}
        }
    }

    /// Those of the addresses that lie elsewhere.
    pub fn elsewhere(&self, origin: &str) -> Vec<&String> {
        let own = format!("{origin}/");
        self.asked.iter().filter(|url| !url.starts_with(&own)).collect()
    }

    /// Asserts that all came from one origin, and that nothing was complained of.
    pub fn assert_quiet(&self, origin: &str) {
        assert!(self.asked.len() > 1, "the watch saw nothing: {:?}", self.asked);
        assert_eq!(self.elsewhere(origin), Vec::<&String>::new(), "asked for elsewhere");
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}
