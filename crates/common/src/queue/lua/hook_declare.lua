-- Says which endpoints a worker tells news to; those that nobody has named for a day are forgotten. Also looks for batches
-- that ended without word of it, as an older version leaves them: the newest, and some of the others in turn.
-- ARGV[1]  {hooks: [{name, address, config}], every, quiet}: address is a digest of the URL, config is JSON; µs
-- Returns  how many batches were found
-- Complexity O(endpoints + 400 batches at most) once in `every`; endpoints that are forgotten take their notices along

for _, hook in ipairs(request.hooks) do
  local state = key('hook', hook.name)
  call('HSETNX', state, 'since', int(NOW))
  -- What has another address may work again.
  if call('HGET', state, 'address') ~= hook.address then call('HDEL', state, 'disabled', 'disabled_at') end
  call('HSET', state, 'seen', int(NOW), 'address', hook.address)
  call('HSET', key('hooks'), hook.name, hook.config)
end

local scanned = num(call('HGET', key('meta'), 'news_scanned'))
if scanned <= NOW and scanned > NOW - request.every then return 0 end
call('HSET', key('meta'), 'news_scanned', int(NOW))

local function forget_hook(name)
  for _, id in ipairs(call('ZRANGE', key('notices', name), 0, -1)) do call('DEL', key('notice', name, id)) end
  for _, id in ipairs(call('ZRANGE', key('notices_past', name), 0, -1)) do call('DEL', key('notice', name, id)) end
  call('DEL', key('notices', name), key('notices_due', name), key('notices_past', name), key('hook', name))
  call('HDEL', key('hooks'), name)
end

local since
for name in pairs(hash(key('hooks'))) do
  local state = call('HMGET', key('hook', name), 'since', 'seen')
  if num(state[2]) < NOW - request.quiet then
    forget_hook(name)
  else
    since = math.min(since or num(state[1]), num(state[1]))
  end
end
if not since then return 0 end

local found = 0
local function look(batch)
  local b = call('HMGET', key('batch', batch), 'state', 'completed', 'told')
  if not b[1] or b[1] == 'open' or num(b[2]) < since or num(b[2]) <= num(b[3]) then return end
  -- Ours leaves word in the same call that ends a batch; a moment later is early enough.
  if num(b[2]) > NOW - 5000000 then return end
  news_of_end(batch)
  found = found + 1
end

for _, batch in ipairs(call('ZREVRANGE', key('batches'), 0, 199)) do look(batch) end
local from = call('HGET', key('meta'), 'news_cursor') or '-inf'
local page = call('ZRANGEBYSCORE', key('batches'), from, '+inf', 'LIMIT', 0, 200)
for _, batch in ipairs(page) do look(batch) end
local last = page[200] and call('ZSCORE', key('batches'), page[200])
call('HSET', key('meta'), 'news_cursor', last and '(' .. int(num(last)) or '-inf')
return found
