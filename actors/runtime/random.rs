//! Randomness, injected: identities that nobody else has. In a simulation they follow its seed.

use uuid::Uuid;

/// A new identity.
pub fn uuid() -> Uuid {
    #[cfg(feature = "simulation")]
    if let Some(bits) = super::simulated::draw() {
        return uuid::Builder::from_random_bytes(bits.to_le_bytes()).into_uuid();
    }
    Uuid::new_v4()
}
