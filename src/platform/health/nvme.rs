//! NVMe: the health page (NVM Express Base Specification 2.0 section 5.16.1.3) and the controller's identity.

/// What the health page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Bits: spare low, too hot, unreliable, read-only, backup failed.
    pub warnings: u8,
    /// Degrees Celsius.
    pub temperature: Option<u16>,
    /// Spare blocks left, in per cent.
    pub spare_percent: u8,
    /// Below this, there are too few.
    pub spare_least_percent: u8,
    /// How much of its life is used, in per cent; may be above 100.
    pub used_percent: u8,
    /// Bytes read, to the nearest 512,000.
    pub read_bytes: u128,
    /// Bytes written, to the nearest 512,000.
    pub written_bytes: u128,
    /// How often it was switched on.
    pub power_cycles: u128,
    /// Hours it was on.
    pub hours: u128,
    /// How often power was cut.
    pub unsafe_shutdowns: u128,
    /// Data that could not be read or was damaged.
    pub media_errors: u128,
    /// Entries of its log of errors.
    pub error_entries: u128,
}

impl Health {
    /// Whether it says that it is failing.
    pub const fn is_failing(&self) -> bool {
        // All but the heat.
        self.warnings & !2 != 0
    }
}

/// Reads the health page; nothing for one that is empty.
pub fn health(page: &[u8; 512]) -> Option<Health> {
    let wide = |at: usize| page.get(at..)?.first_chunk().map(|bytes| u128::from_le_bytes(*bytes));
    let kelvin = u16::from_le_bytes([page[1], page[2]]);
    if page.iter().all(|byte| *byte == 0) || page.iter().all(|byte| *byte == 0xff) {
        return None;
    }
    Some(Health {
        warnings: page[0],
        temperature: kelvin.checked_sub(273).filter(|degrees| *degrees < 200),
        spare_percent: page[3],
        spare_least_percent: page[4],
        used_percent: page[5],
        read_bytes: wide(32)?.saturating_mul(512_000),
        written_bytes: wide(48)?.saturating_mul(512_000),
        power_cycles: wide(112)?,
        hours: wide(128)?,
        unsafe_shutdowns: wide(144)?,
        media_errors: wide(160)?,
        error_entries: wide(176)?,
    })
}

/// Serial number, model and firmware, from IDENTIFY CONTROLLER.
pub fn identity(page: &[u8; 4096]) -> [String; 3] {
    let text = |from: usize, to: usize| {
        let letters = page[from..to].iter().map(|byte| char::from(*byte));
        let letters = letters.filter(|c| c.is_ascii_graphic() || *c == ' ');
        letters.collect::<String>().trim().to_owned()
    };
    [text(4, 24), text(24, 64), text(64, 72)]
}
