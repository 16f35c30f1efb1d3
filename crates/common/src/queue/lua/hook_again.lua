-- Lets an endpoint have what was given up, and at once what waits for another try; one that was disabled is told again.
-- ARGV[1]  {hook, dry, busy}: with dry nothing is written; busy is how long one may be on its way, µs
-- Returns  {given up, waiting, whether it was disabled}, or {} where the endpoint is unknown
-- Complexity O(notices of the endpoint * log(notices)); at most 1200

local name = request.hook
local state = key('hook', name)
if call('EXISTS', state) == 0 then return {} end
local disabled = set(call('HGET', state, 'disabled')) and 1 or 0
local again, due = {}, key('notices_due', name)
for _, id in ipairs(call('ZRANGE', key('notices_past', name), 0, -1)) do
  if call('HGET', key('notice', name, id), 'state') == 'given_up' then again[#again + 1] = id end
end
local waiting = call('ZRANGEBYSCORE', due, '-inf', '+inf', 'LIMIT', 0, 1000)
if request.dry then return { #again, #waiting, disabled } end

call('HDEL', state, 'disabled', 'disabled_at')
for _, id in ipairs(again) do
  call('HSET', key('notice', name, id), 'state', 'waiting', 'attempts', 0)
  call('HDEL', key('notice', name, id), 'ended')
  call('ZREM', key('notices_past', name), id)
  call('ZADD', key('notices', name), int(NOW), id)
  call('ZADD', due, int(NOW), id)
end
for _, id in ipairs(waiting) do
  -- One that is being sent right now is left to whoever sends it.
  local n = call('HMGET', key('notice', name, id), 'token', 'tried')
  if not n[1] or num(n[2]) < NOW - request.busy then call('ZADD', due, int(NOW), id) end
end
return { #again, #waiting, disabled }
