//! Real servers and faults for the tests. Everything started here is stopped when it is dropped.

pub(crate) mod busy_front;
#[cfg(target_os = "linux")]
pub(crate) mod clock;
#[cfg(target_os = "linux")]
pub(crate) mod names;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod redis_server;
pub(crate) mod seaweed;
