-- Says what became of a due time that was taken, or gives it back for another try.
-- ARGV[1]  {name, token, run?, batch?, again?, trouble?, now?}: run is what became of it, JSON, batch what it submitted; without a
--          run another may try after `again` µs; trouble says why this try was in vain
-- Returns  "ok" | "lost", where another has it, or it is gone
-- Complexity O(log(schedules))

local name, now = key('schedule', request.name), num(request.now or NOW)
local s = call('HMGET', name, 'token', 'next', 'paused')
if s[1] ~= request.token then return 'lost' end
if not set(request.run) then
  local again = now + num(request.again)
  call('HSET', name, 'lease', int(again), 'token', '')
  if set(request.trouble) then
    if call('HINCRBY', name, 'tries', 1) == 1 then call('HSET', name, 'since', int(now)) end
    call('HSET', name, 'trouble', request.trouble)
  end
  call('ZADD', key('schedules'), int(again), request.name)
  return 'ok'
end
call('XADD', key('schedule-runs', request.name), 'MAXLEN', 100, '*', 'run', request.run)
call('HSET', name, 'last', request.run)
if set(request.batch) then call('HSET', name, 'batch', request.batch) end
call('HDEL', name, 'firing', 'token', 'lease', 'tries', 'since', 'trouble')
call('ZADD', key('schedules'), s[3] and '+inf' or int(num(s[2])), request.name)
return 'ok'
