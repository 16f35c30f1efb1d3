//! What performs Pictor's work.
