//! Doors to parsers that are nobody else's business. Only the fuzz targets (`tests/fuzz/`) go through them.

pub use crate::daemon::control::read_request;
pub use crate::egress::dns::fuzz as dns_answer;
pub use crate::features::license::foreign_license;
pub use crate::features::link::services::fuzz as service_url;
pub use crate::features::registration::url::fuzz as hub_url;
pub use crate::platform::parse::fuzz as kernel_messages;
pub use crate::platform::sockdiag::fuzz as socket_report;
pub use crate::platform::traffic::fuzz as traffic_report;
pub use crate::state::document::fuzz as state_document;
