//! What the house itself warns of.

use crate::card::Warning;

/// Raised while the state directory takes nothing.
pub static UNSAVED: Warning = Warning {
    code: "daemon-state",
    title: "What changes now would be lost in a power cut",
    hint: "qcloud-agent doctor",
};

/// Raised when an older generation of the state had to serve, until the agent is started again.
pub static DAMAGED: Warning = Warning {
    code: "daemon-damaged",
    title: "The newest state could not be read; the one before it serves, without the newest change",
    hint: "qcloud-agent status",
};

/// Raised while the configuration file is not the one that serves.
pub static NOT_RELOADED: Warning = Warning {
    code: "daemon-reload",
    title: "The configuration file cannot be used; the one read before serves on",
    hint: "qcloud-agent doctor",
};
