-- Says that a worker is alive, or that it has left; forgets those not heard of for a minute. Takes the namespace over to
-- this layout once no worker is alive that knows only an older one.
-- ARGV[1]  {incarnation, beat, alive, grace}: beat is JSON; an empty one says that the worker has left; alive is how long,
--          in µs, one counts as alive without a word
-- Returns  JSON {layout, from?, older}: the layout now and, when it was raised just now, before; how many workers alive
--          know an older one only
-- Complexity O(workers)

local name = key('workers')
if set(request.beat) then
  call('HSET', name, request.incarnation, int(NOW) .. ' ' .. request.beat)
else
  call('HDEL', name, request.incarnation)
end
-- While Redis was away nobody could say a word: in the grace after that nobody counts as gone.
local grace = in_grace()
local flat, older = call('HGETALL', name), 0
for i = 1, #flat, 2 do
  local seen = num(string.match(flat[i + 1], '^%d+'))
  if seen < NOW - 60000000 and not grace then
    call('HDEL', name, flat[i])
  elseif (grace or seen >= NOW - request.alive) and num(string.match(flat[i + 1], '"layout":(%d+)')) < LAYOUT then
    older = older + 1
  end
end

-- A wiped namespace has no layout, until somebody works there again.
local was = call('GET', key('schema'))
if older > 0 then return cjson.encode({ layout = was or '', older = older }) end
if was == tostring(LAYOUT) and layout == LAYOUT then return cjson.encode({ layout = was, older = 0 }) end
call('SET', key('schema'), LAYOUT)
call('HSET', key('meta'), 'layout', LAYOUT)
return cjson.encode({ layout = tostring(LAYOUT), from = was ~= tostring(LAYOUT) and was or nil, older = 0 })
