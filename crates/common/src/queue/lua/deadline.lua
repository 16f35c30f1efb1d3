
-- Deadlines ---------------------------------------------------------------
--
-- What a batch has not sent by its deadline is not sent for it: claim and begin ask. `deadlines` has the batches whose
-- deadline is to come. One that passed it is cancelled, with `expired` saying why; what it asks for stays as it is, so
-- that a later deadline lets it go on, and whoever else asks for an asset still gets it.

local PAST_DEADLINE = 'past its deadline'

-- Sets a deadline, or a later one; a batch that was given up for the one before goes on.
local function set_deadline(batch, deadline)
  local name = key('batch', batch)
  call('HSET', name, 'deadline', int(deadline))
  call('ZADD', key('deadlines'), int(deadline), batch)
  if call('HEXISTS', name, 'expired') == 1 then
    call('HDEL', name, 'expired', 'reason', 'completed')
    call('HSET', name, 'state', 'open')
  end
  local held = call('HGET', name, 'held')
  if set(held) then return end
  for _, route in ipairs(routes_of(batch)) do
    if call('EXISTS', key('flow', route, batch)) == 1 then activate(route, batch) end
  end
  wake()
end

-- Ends open batches that are past their deadline, at most so many; how many ended.
local function expire_due(most)
  local ended = 0
  for _, batch in ipairs(call('ZRANGEBYSCORE', key('deadlines'), '-inf', int(NOW), 'LIMIT', 0, most)) do
    call('ZREM', key('deadlines'), batch)
    local name = key('batch', batch)
    local b = call('HMGET', name, 'state', 'deadline')
    if b[1] == 'open' and b[2] then
      for _, route in ipairs(routes_of(batch)) do deactivate(route, batch) end
      call('HSET', name, 'state', 'cancelled', 'reason', PAST_DEADLINE, 'expired', int(NOW), 'completed', int(NOW))
      event('expired', '', batch)
      news_of_end(batch)
      ended = ended + 1
    end
  end
  return ended
end

