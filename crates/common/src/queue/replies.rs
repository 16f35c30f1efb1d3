//! The replies of a pipeline, taken one after another.

use redis::{FromRedisValue, Pipeline, Value};

use super::{Queue, QueueError};

/// Replies that are still to be taken.
pub(super) struct Replies(std::vec::IntoIter<Value>);

impl Replies {
    /// Runs a pipeline in one round trip; one without commands is not sent.
    pub(super) async fn of(pipe: &Pipeline, queue: &Queue) -> Result<Self, QueueError> {
        if pipe.is_empty() {
            return Ok(Self(Vec::new().into_iter()));
        }
        let values: Vec<Value> = pipe.query_async(&mut queue.connection.clone()).await?;
        Ok(Self(values.into_iter()))
    }

    /// Takes the next reply.
    pub(super) fn take<T: FromRedisValue>(&mut self) -> Result<T, QueueError> {
        let value = self.0.next().unwrap_or(Value::Nil);
        Ok(redis::from_redis_value(value).map_err(redis::RedisError::from)?)
    }
}
