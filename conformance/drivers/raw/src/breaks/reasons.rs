//! Requirements that bind a driver and have no switch.

/// Requirements of a driver that no switch violates, and why.
pub const REASONS: &[(&str, &str)] = &[(
    "R69",
    "The forms of JSON bind whoever writes JSON: this driver speaks protobuf alone. A driver that writes them \
     wrongly is refused with the field's pointer (R5), which is the engine's part, and has no session then.",
)];
