-- Says what became of a notice that was taken.
-- ARGV[1]  {hook, id, token, outcome: "delivered"|"waiting"|"given_up"|"gone", answer, delay, keep}: answer is for people; delay
--          in µs, until it is tried again; keep is how many that ended are remembered
-- Returns  the state it has now, or "lost" when somebody else has it or it ended before
-- Complexity O(log(notices))

local name, id = request.hook, request.id
local record, state = key('notice', name, request.id), key('hook', name)
local r = call('HMGET', record, 'token', 'state')
-- Whoever it was: what the endpoint has taken is delivered.
if r[2] ~= 'waiting' or r[1] ~= request.token and request.outcome ~= 'delivered' then return 'lost' end

call('HSET', record, 'answer', request.answer)
call('HSET', state, 'answer', request.answer, 'answered', int(NOW))
if request.outcome == 'waiting' then
  call('HSETNX', state, 'failing', int(NOW))
  call('ZADD', key('notices_due', name), int(NOW + request.delay), id)
  call('HDEL', record, 'token')
  return 'waiting'
end

local ended = request.outcome == 'delivered' and 'delivered' or 'given_up'
call('HSET', record, 'state', ended, 'ended', int(NOW))
call('HDEL', record, 'token')
call('HINCRBY', state, ended, 1)
call('ZREM', key('notices_due', name), id)
call('ZREM', key('notices', name), id)
call('ZADD', key('notices_past', name), int(NOW), id)
if ended == 'delivered' then
  call('HDEL', record, 'body')
  call('HDEL', state, 'failing')
end
if request.outcome == 'gone' then call('HSET', state, 'disabled', request.answer, 'disabled_at', int(NOW)) end
if call('ZCARD', key('notices_past', name)) > request.keep then
  call('DEL', key('notice', name, call('ZPOPMIN', key('notices_past', name))[1]))
end
return ended
