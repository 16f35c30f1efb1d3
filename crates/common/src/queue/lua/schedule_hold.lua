-- Keeps the right to fire what was taken, or takes it over from a server that is silent.
-- ARGV[1]  {name, token, lease, take, now?}
-- Returns  {"ok", due, tries} | {"lost"} where another has it or nobody does | {"paused"}: a pause came before the dead server's run
--          was submitted, which is given up
-- Complexity O(log(schedules))

local name, now = key('schedule', request.name), num(request.now or NOW)
local s = call('HMGET', name, 'firing', 'token', 'lease', 'paused', 'tries', 'next')
if not s[1] then return { 'lost' } end
local function keep()
  call('HSET', name, 'token', request.token, 'lease', int(now + request.lease))
  call('ZADD', key('schedules'), int(now + request.lease), request.name)
  return { 'ok', s[1], s[5] or '0' }
end
if s[2] == request.token then return keep() end
if not request.take then return { 'lost' } end
-- A clock that went back would leave it to a dead server for as long.
if num(s[3]) > now + request.lease then
  call('HSET', name, 'lease', int(now + request.lease))
  call('ZADD', key('schedules'), int(now + request.lease), request.name)
  return { 'lost' }
end
if num(s[3]) > now then return { 'lost' } end
if s[4] then
  call('HDEL', name, 'firing', 'token', 'lease', 'tries', 'since', 'trouble')
  call('ZADD', key('schedules'), '+inf', request.name)
  return { 'paused' }
end
return keep()
