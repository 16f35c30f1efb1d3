-- Forgets the image of an asset, which the caller then takes out of the store. What was paid for it stays charged, batches
-- that have counted it still do, and the ledger says that it was removed.
-- ARGV[1]  {key, at, kept, spec?, model, payer?, tenant?}: at: when the image that is to go was stored, ms, as the caller saw it;
--          kept: its record, short; spec: what it was made of, so that another take can be
--          asked for; payer, tenant: the batch that paid for it, and whose that is
-- or       {key, over}: the store has nothing of it any more
-- Returns  {"removed"} | {"again"} (it was removed before) | {"changed"} (another image stands) | {"busy", phase} (it is not
--          done, or not all who asked have counted it yet) | {"older"} (an older version works in the namespace)
-- Complexity O(1)

-- It would have the image made again without taking the count back.
if not is_of(LAYOUT) then return { 'older' } end

local asset = key('a', request.key)
if request.over then
  call('HDEL', key('removing'), request.key)
  return { 'again' }
end
local a = call('HMGET', asset, 'phase', 'made', 'parting', 'counting', 'gone')
local phase, gone = a[1], num(a[5])

-- Who looked it up before must not rely on it. An image may be from a clock that is ahead of this one.
local function set_gone()
  call('HSET', asset, 'gone', int(math.max(NOW, num(request.at) * 1000)))
  call('HSET', key('removing'), request.key, int(NOW))
  call('HSET', key('meta'), 'gone', 1)
end

local function mark(done)
  ledger('removed', request.key, request.key .. '@' .. request.at, 0, request)
  if done then
    call('HSET', asset, 'removed', request.kept, 'counted', 1)
    if set(request.spec) then call('SET', key('s', request.key), request.spec) end
  end
  set_gone()
  event('removed', request.key, request.payer)
  return { 'removed' }
end

if not phase then
  -- Redis knew nothing of it, or not any more: the store alone had it.
  if gone == 0 or num(request.at) * 1000 > gone then return mark(false) end
  call('HSET', key('removing'), request.key, int(NOW))
  return { 'again' }
end
if phase ~= 'done' then return { 'busy', phase } end
if stored_at(a[2] or call('GET', key('made', request.key)) or '') ~= request.at then return { 'changed' } end
if a[3] or a[4] or call('EXISTS', key('askers', request.key)) == 1 then return { 'busy', phase } end
call('DEL', key('made', request.key))
call('HDEL', asset, 'made', 'phase', 'attempts', 'unknowns', 'bad', 'unsent')
return mark(true)
