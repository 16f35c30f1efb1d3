//! An image API that behaves like the real one: limits, errors, latency, invoice.
