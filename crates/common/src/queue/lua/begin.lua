-- The rest of `begin`: what has changed since the asset was claimed.

local function refuse(reason)
  give_back(request.key, request.token)
  return { 'no', reason }
end

if late then return refuse('deadline') end
if b[1] == 'cancelled' then return refuse('cancelled') end
if set(b[2]) and not BY_CAP[b[2]] then return refuse('held') end
local lane = lane_of(a[3])
if pause_of(lane) > NOW + 1000000 then return refuse('paused') end

local tokens = num(a[6])
-- A permit is void when it is old, when it lies farther ahead than any is given, since the clock went back, and when the
-- lane has learnt something since.
if NOW > slot + 1000000 or slot > NOW + 5000000 or pause_of(lane) > NOW or num(a[8]) ~= lane.epoch then
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
