-- Says that a worker is alive, or that it has left; forgets those not heard of for a minute. Takes the namespace over to
-- this layout once no worker is alive that knows only an older one.
-- ARGV[1]  {incarnation, beat, alive, grace}: beat is JSON; an empty one says that the worker has left; alive is how long,
--          in µs, one counts as alive without a word
-- Returns  JSON {layout, from?, older, drain?}: the layout now and, when it was raised just now, before; how many workers
--          alive know an older one only; why the worker is to end, where somebody told it to
-- Complexity O(workers)

local name = key('workers')
if set(request.beat) then
  call('HSET', name, request.incarnation, int(NOW) .. ' ' .. request.beat)
else
  call('HDEL', name, request.incarnation)
  call('HDEL', key('drains'), request.incarnation)
end
local drain = call('HGET', key('drains'), request.incarnation)
drain = drain and cjson.decode(drain) or nil
-- While Redis was away nobody could say a word: in the grace after that nobody counts as gone.
local grace = in_grace()
local flat, older = call('HGETALL', name), 0
for i = 1, #flat, 2 do
  local seen = num(string.match(flat[i + 1], '^%d+'))
  if seen < NOW - 60000000 and not grace then
    call('HDEL', name, flat[i])
    call('HDEL', key('drains'), flat[i])
  elseif (grace or seen >= NOW - request.alive) and num(string.match(flat[i + 1], '"layout":(%d+)')) < LAYOUT then
    older = older + 1
  end
end

-- A wiped namespace has no layout, until somebody works there again.
local was = call('GET', key('schema'))
if older > 0 then return cjson.encode({ layout = was or '', older = older, drain = drain }) end
if was == tostring(LAYOUT) and layout == LAYOUT then return cjson.encode({ layout = was, older = 0, drain = drain }) end
call('SET', key('schema'), LAYOUT)
call('HSET', key('meta'), 'layout', LAYOUT)
return cjson.encode({ layout = tostring(LAYOUT), from = was ~= tostring(LAYOUT) and was or nil, older = 0,
  drain = drain })
