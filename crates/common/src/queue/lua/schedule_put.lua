-- Keeps a schedule. Of an older one of that name stay its history, its pause, and what is being submitted.
-- ARGV[1]  {name, definition, by, next, replace, now?}: next is when it is first due, µs; now stands for the server's clock
-- Returns  "ok" | "exists", where it is there and not to be replaced
-- Complexity O(log(schedules))

local name, now = key('schedule', request.name), num(request.now or NOW)
if not request.replace and call('EXISTS', name) == 1 then return 'exists' end
call('HSET', name, 'definition', request.definition, 'by', request.by, 'added', int(now), 'cursor', int(now),
  'next', int(request.next), 'revision', call('HINCRBY', key('meta'), 'schedules', 1))
call('HDEL', name, 'waited')
local s = call('HMGET', name, 'paused', 'firing', 'lease')
local look = s[2] and int(num(s[3])) or s[1] and '+inf' or int(request.next)
call('ZADD', key('schedules'), look, request.name)
return 'ok'
