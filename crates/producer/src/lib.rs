//! What puts work into Pictor or steers it.
