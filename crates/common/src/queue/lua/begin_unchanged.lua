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
  -- What was not sent was never in doubt.
  if a[1] ~= 'claimed' then call('ZREM', key('doubt'), member) end
  call('ZADD', key('inflight', a[3]), int(deadline), request.token)
  return { 'go', int(attempt), int(deadline), int(num(epoch)) }
end

-- The reply was lost: the owner asks again, so it has not sent yet.
if a[1] == 'sent' or a[1] == 'orphan' then return go(num(a[7]), a[8]) end
if a[1] ~= 'claimed' then return { 'no', 'lost' } end

-- What is as it was when it was claimed goes out without another look at limits and money.
local b = call('HMGET', key('batch', a[4]), 'state', 'held', 'deadline')
local l = call('HMGET', key('lane', a[3]), 'paused', 'pause_until', 'epoch')
local slot = num(a[5])
local late = b[3] and num(b[3]) <= NOW
local open = not late and b[1] ~= 'cancelled' and not set(b[2]) and not set(l[1]) and num(l[2]) <= NOW
if open and num(a[8]) == num(l[3]) and slot >= NOW - 1000000 and slot <= NOW + 2000 then
  return go(num(a[7]) + 1, l[3])
end

