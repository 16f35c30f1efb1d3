-- Takes a due time of a schedule, once; or says that times pass without a run, or wait for the run before.
-- ARGV[1]  {name, revision, cursor, due?, upto, next, look?, waited?, token, lease, runs: [JSON], by_hand, now?}: cursor is how far
--          it was when this was decided, upto how far it is then; look is when to look again, µs; by hand, due is now
--          and the schedule goes on as it was
-- Returns  "ok" | "gone" | "changed" | "paused" | "busy"
-- Complexity O(runs + log(schedules)); at most 100 runs

local name, now = key('schedule', request.name), num(request.now or NOW)
local s = call('HMGET', name, 'revision', 'cursor', 'paused', 'firing', 'lease')
if not s[1] then return 'gone' end
if s[1] ~= request.revision then return 'changed' end
if s[4] then return 'busy' end
if not request.by_hand then
  if num(s[2]) ~= num(request.cursor) then return 'changed' end
  if s[3] then return 'paused' end
end

for _, run in ipairs(request.runs) do
  call('XADD', key('schedule-runs', request.name), 'MAXLEN', 100, '*', 'run', run)
  call('HSET', name, 'last', run)
end
if not request.by_hand then
  call('HSET', name, 'cursor', int(request.upto), 'next', int(request.next))
  if set(request.waited) then call('HSET', name, 'waited', int(request.waited)) else call('HDEL', name, 'waited') end
end
local look = set(request.look) and request.look or request.next
if set(request.due) then
  look = now + request.lease
  call('HSET', name, 'firing', int(request.due), 'token', request.token, 'lease', int(look))
  call('HDEL', name, 'tries', 'since', 'trouble')
end
call('ZADD', key('schedules'), int(look), request.name)
return 'ok'
