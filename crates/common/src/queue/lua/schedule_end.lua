-- Says what became of a due time that was taken, or gives it back for another try.
-- ARGV[1]  {name, token, run?, again?, now?}: run is what became of it, JSON; without it another may try after `again` µs
-- Returns  "ok" | "lost", where another has it, or it is gone
-- Complexity O(log(schedules))

local name, now = key('schedule', request.name), num(request.now or NOW)
local s = call('HMGET', name, 'token', 'next', 'paused')
if s[1] ~= request.token then return 'lost' end
if not set(request.run) then
  local again = now + num(request.again)
  call('HSET', name, 'lease', int(again), 'token', '')
  if num(request.again) > 0 then call('HINCRBY', name, 'tries', 1) end
  call('ZADD', key('schedules'), int(again), request.name)
  return 'ok'
end
call('XADD', key('schedule-runs', request.name), 'MAXLEN', 100, '*', 'run', request.run)
call('HSET', name, 'last', request.run)
call('HDEL', name, 'firing', 'token', 'lease', 'tries')
call('ZADD', key('schedules'), s[3] and '+inf' or int(num(s[2])), request.name)
return 'ok'
