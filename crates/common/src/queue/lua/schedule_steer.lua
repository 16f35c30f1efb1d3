-- Pauses a schedule, lets it go on, or removes it. What is being submitted goes on.
-- ARGV[1]  {name, action: "pause"|"resume"|"remove", reason?, next?, now?}: times that passed in a pause are not made up for
-- Returns  "ok" | "missing"
-- Complexity O(log(schedules))

local name, now = key('schedule', request.name), num(request.now or NOW)
local s = call('HMGET', name, 'revision', 'lease', 'firing', 'paused')
if not s[1] then return 'missing' end
if request.action == 'remove' then
  call('ZREM', key('schedules'), request.name)
  call('DEL', name, key('schedule-runs', request.name))
elseif request.action == 'pause' then
  call('HSET', name, 'paused', request.reason)
  -- A server that dies now leaves a run that somebody must give up.
  call('ZADD', key('schedules'), s[3] and int(num(s[2])) or '+inf', request.name)
elseif s[4] then
  call('HDEL', name, 'paused', 'waited')
  call('HSET', name, 'cursor', int(now), 'next', int(request.next))
  call('ZADD', key('schedules'), s[3] and int(num(s[2])) or int(request.next), request.name)
end
return 'ok'
