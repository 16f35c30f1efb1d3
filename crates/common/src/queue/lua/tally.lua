-- Counts failures by cause and tenant, for webhooks: a cause is news when it is seen first, and at each power of ten.

local MOST_GROUPS, QUIET = 1000, 7 * 86400000000

local function grown(count)
  while count >= 10 and count % 10 == 0 do count = count / 10 end
  return count == 1
end

-- Makes room for a new cause: one that nobody has seen for a week is forgotten.
local function room_for_cause()
  if call('ZCARD', key('told_causes')) < MOST_GROUPS then return true end
  local quiet = call('ZRANGEBYSCORE', key('told_causes'), '-inf', int(NOW - QUIET), 'LIMIT', 0, 10)
  for _, name in ipairs(quiet) do
    call('ZREM', key('told_causes'), name)
    call('DEL', key('cause', name))
  end
  return #quiet > 0
end

local function tally(group, batch)
  if not set(group) or call('EXISTS', key('hooks')) == 0 then return end
  local tenant = tenant_of(batch) or ''
  local name = tenant .. '|' .. group.id
  local last = call('ZSCORE', key('told_causes'), name)
  if last and num(last) < NOW - QUIET then
    call('DEL', key('cause', name))
  elseif not last and not room_for_cause() then
    return
  end
  call('ZADD', key('told_causes'), int(NOW), name)
  local cause = key('cause', name)
  local count = call('HINCRBY', cause, 'count', 1)
  if count == 1 then
    call('HSET', cause, 'tenant', tenant, 'class', group.class, 'message', group.message, 'first', int(NOW))
  end
  call('HSET', cause, 'last', int(NOW), 'batch', batch or '')
  if count == 1 then news('first_seen', NOW, name) elseif grown(count) then news('growing', NOW, int(count) .. '|' .. name) end
end

