//! ATA: identity and SMART data (ATA/ATAPI Command Set 3, ACS-3; the layout of the SMART table is that of SFF-8035i,
//! which every disk still keeps to).

/// What a disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Model, as the maker writes it.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Firmware.
    pub firmware: String,
    /// Turns in a minute; 0 for none, nothing where it is not told.
    pub rotation: Option<u16>,
    /// Whether SMART is there and switched on.
    pub has_smart: bool,
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its number.
    pub id: u8,
    /// Whether it foretells a failure when it is at its threshold.
    pub is_vital: bool,
    /// Its value, worse the lower it is.
    pub value: u8,
    /// The lowest it has been.
    pub worst: u8,
    /// At or below this it has failed.
    pub threshold: u8,
    /// What the maker counts.
    pub raw: u64,
}

impl Attribute {
    /// Whether it says that the disk is failing.
    pub const fn is_failing(&self) -> bool {
        self.is_vital && self.threshold > 0 && self.value <= self.threshold && self.value > 0
    }

    /// What it is called by those who know it.
    pub const fn name(&self) -> &'static str {
        match self.id {
            1 => "Raw_Read_Error_Rate",
            2 => "Throughput_Performance",
            3 => "Spin_Up_Time",
            4 => "Start_Stop_Count",
            5 => "Reallocated_Sector_Ct",
            7 => "Seek_Error_Rate",
            8 => "Seek_Time_Performance",
            9 => "Power_On_Hours",
            10 => "Spin_Retry_Count",
            12 => "Power_Cycle_Count",
            173 | 177 => "Wear_Leveling_Count",
            179 => "Used_Rsvd_Blk_Cnt_Tot",
            181 => "Program_Fail_Cnt_Total",
            182 => "Erase_Fail_Count_Total",
            183 => "Runtime_Bad_Block",
            184 => "End-to-End_Error",
            187 => "Reported_Uncorrect",
            188 => "Command_Timeout",
            190 => "Airflow_Temperature_Cel",
            191 => "G-Sense_Error_Rate",
            192 => "Power-Off_Retract_Count",
            193 => "Load_Cycle_Count",
            194 => "Temperature_Celsius",
            196 => "Reallocated_Event_Count",
            197 => "Current_Pending_Sector",
            198 => "Offline_Uncorrectable",
            199 => "UDMA_CRC_Error_Count",
            200 => "Multi_Zone_Error_Rate",
            202 => "Percent_Lifetime_Remain",
            231 => "SSD_Life_Left",
            233 => "Media_Wearout_Indicator",
            240 => "Head_Flying_Hours",
            241 => "Total_LBAs_Written",
            242 => "Total_LBAs_Read",
            _ => "Unknown_Attribute",
        }
    }
}

/// Reads IDENTIFY DEVICE (ACS-3 section 7.12.7); nothing for what is none.
pub fn identity(data: &[u8; 512]) -> Option<Identity> {
    let word = |at: usize| u16::from_le_bytes([data[at * 2], data[at * 2 + 1]]);
    // Bit 15 is set for a packet device, and every bit where nobody answers.
    if word(0) & 0x8000 != 0 || data.iter().all(|byte| *byte == 0) {
        return None;
    }
    let text = |from: usize, to: usize| {
        let letters = (from..to).flat_map(|at| word(at).to_be_bytes());
        let letters = letters.map(char::from).filter(|c| c.is_ascii_graphic() || *c == ' ');
        letters.collect::<String>().trim().to_owned()
    };
    let rotation = match word(217) {
        1 => Some(0),
        turns @ 0x0401..=0xfffe => Some(turns),
        _ => None,
    };
    Some(Identity {
        serial: text(10, 20),
        firmware: text(23, 27),
        model: text(27, 47),
        rotation,
        has_smart: word(82) & 1 != 0 && word(85) & 1 != 0,
    })
}

/// Reads SMART READ DATA and SMART READ THRESHOLDS; no attribute where a checksum is wrong.
pub fn attributes(data: &[u8; 512], thresholds: &[u8; 512]) -> Vec<Attribute> {
    if !is_whole(data) {
        return Vec::new();
    }
    let limits = if is_whole(thresholds) { &thresholds[2..362] } else { &[] };
    let one = |entry: &[u8]| {
        let [id, flags, _, value, worst, raw @ ..] = entry else { return None };
        let raw = raw.first_chunk::<6>()?;
        let limit =
            limits.chunks_exact(12).find(|limit| limit[0] == *id).map_or(0, |limit| limit[1]);
        (*id != 0).then(|| Attribute {
            id: *id,
            is_vital: flags & 1 != 0,
            value: *value,
            worst: *worst,
            threshold: limit,
            raw: raw.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        })
    };
    data[2..362].chunks_exact(12).filter_map(one).collect()
}

/// Whether the bytes add up to nothing, as the last one sees to.
fn is_whole(data: &[u8; 512]) -> bool {
    data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0
        && data.iter().any(|byte| *byte != 0)
}

/// The registers that a command left behind, from its sense data (SAT-3 section 12.2.2.6): the count, and the middle
/// and high byte of the address.
pub fn registers(sense: &[u8; 32]) -> Option<(u8, u8, u8)> {
    let is_described = matches!(sense[0] & 0x7f, 0x72 | 0x73) && sense[8] == 9 && sense[9] == 12;
    is_described.then_some((sense[13], sense[17], sense[19]))
}
