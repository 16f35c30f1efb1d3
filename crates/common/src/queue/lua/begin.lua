-- Marks an asset as sent, if its token still holds and nothing forbids it; no reply, no sending.
-- ARGV[1]  {key, token, allowance, lease}: allowance is model timeout + margin, µs
-- Returns  {"go", attempt, deadline} | {"wait", µs} | {"no", reason}; after "no" the asset was given back or was not ours
-- Complexity O(log(queue))

local asset = key('a', request.key)
local a = call('HMGET', asset, 'phase', 'token', 'lane', 'payer', 'slot', 'tokens', 'attempts')
if a[2] ~= request.token then return { 'no', 'lost' } end
local member = request.token .. ' ' .. request.key

local function go(attempt)
  local deadline = NOW + request.allowance
  call('HSET', asset, 'phase', 'sent', 'attempts', int(attempt), 'deadline', int(deadline))
  call('ZADD', key('leases'), int(NOW + request.lease), member)
  call('ZREM', key('doubt'), member)
  call('ZADD', key('inflight', a[3]), int(deadline), request.token)
  return { 'go', int(attempt), int(deadline) }
end

-- The reply was lost: the owner asks again, so it has not sent yet.
if a[1] == 'sent' or a[1] == 'orphan' then return go(num(a[7])) end
if a[1] ~= 'claimed' then return { 'no', 'lost' } end

local function refuse(reason)
  give_back(request.key, request.token, num(a[6]))
  return { 'no', reason }
end

local b = call('HMGET', key('batch', a[4]), 'state', 'held')
if b[1] == 'cancelled' then return refuse('cancelled') end
if set(b[2]) and b[2] ~= 'cap' then return refuse('held') end
local lane = lane_of(a[3])
if pause_of(lane) > NOW + 1000000 then return refuse('paused') end

local slot = num(a[5])
if NOW > slot + 1000000 or pause_of(lane) > NOW then
  refund(lane, num(a[6]))
  slot = slot_for(lane, num(a[6]))
  charge(lane, num(a[6]), slot)
  save(lane)
  call('HSET', asset, 'slot', int(slot))
end
if slot > NOW + 2000 then
  call('ZADD', key('leases'), int(slot + request.lease), member)
  return { 'wait', int(slot - NOW) }
end
return go(num(a[7]) + 1)
