//! What comes out of hostile, odd and ordinary images.
