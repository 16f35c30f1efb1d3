//! Real servers and faults for the tests. Everything started here is stopped when it is dropped.

pub(crate) mod busy_front;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis_server;
pub(crate) mod seaweed;
