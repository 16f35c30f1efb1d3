-- Marks an asset as sent, if its token still holds and nothing forbids it; no reply, no sending.
-- ARGV[1]  {key, token, allowance, lease}: allowance is model timeout + margin, µs
-- Returns  {"go", attempt, deadline, epoch of the lane} | {"wait", µs} | {"no", reason}; after "no" the asset was given back or was not ours
-- Complexity O(log(queue))

local asset = key('a', request.key)
local a = call('HMGET', asset, 'phase', 'token', 'lane', 'payer', 'slot', 'tokens', 'attempts', 'epoch')
if a[2] ~= request.token then return { 'no', 'lost' } end
local member = request.token .. ' ' .. request.key

local function go(attempt, epoch)
  local deadline = NOW + request.allowance
  call('HSET', asset, 'phase', 'sent', 'attempts', int(attempt), 'deadline', int(deadline))
  call('ZADD', key('leases'), int(NOW + request.lease), member)
  call('ZREM', key('doubt'), member)
  call('ZADD', key('inflight', a[3]), int(deadline), request.token)
  return { 'go', int(attempt), int(deadline), int(num(epoch)) }
end

-- The reply was lost: the owner asks again, so it has not sent yet.
if a[1] == 'sent' or a[1] == 'orphan' then return go(num(a[7]), a[8]) end
if a[1] ~= 'claimed' then return { 'no', 'lost' } end

local function refuse(reason)
  give_back(request.key, request.token)
  return { 'no', reason }
end

local b = call('HMGET', key('batch', a[4]), 'state', 'held')
if b[1] == 'cancelled' then return refuse('cancelled') end
if set(b[2]) and not BY_CAP[b[2]] then return refuse('held') end
local lane = lane_of(a[3])
if pause_of(lane) > NOW + 1000000 then return refuse('paused') end

local slot, tokens = num(a[5]), num(a[6])
-- A permit is void when it is old, and when the lane has learnt something since.
if NOW > slot + 1000000 or pause_of(lane) > NOW or num(a[8]) ~= lane.epoch then
  refund(lane, tokens, a[8])
  slot = slot_for(lane, tokens)
  if slot > NOW + 2000000 then
    save(lane)
    -- Given back already.
    call('HSET', asset, 'epoch', '-1')
    return refuse('limit')
  end
  charge(lane, tokens, slot)
  save(lane)
  call('HSET', asset, 'slot', int(slot), 'epoch', int(lane.epoch))
end
if slot > NOW + 2000 then
  call('ZADD', key('leases'), int(slot + request.lease), member)
  return { 'wait', int(slot - NOW) }
end
return go(num(a[7]) + 1, lane.epoch)
