//! Encryption and signatures for due: rsa, ecc.
