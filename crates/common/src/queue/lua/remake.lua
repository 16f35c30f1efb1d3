-- Puts assets whose images are gone from the store back into the queue of a batch that asks for them. What was paid for
-- them stays charged; the ledger says that they are made again on purpose.
-- ARGV[1]  {batch, items: [{key, row, at, model, spec?, route?, ceiling?, tokens?}]}, at most 500; at: when the image that
--          is gone was stored, ms: an asset that was made since is left alone. One without a spec is only forgotten, so
--          that whoever submits it again has it made
-- Returns  {what became of each: "queued" | "forgotten" | "changed" | "crowd"}, or {"missing"} or {"cancelled"} of the
--          batch, and nothing is written; crowd: more than a hundred batches ask for it
-- Complexity O(assets * log(queue))

local batch = key('batch', request.batch)
local state = call('HGET', batch, 'state')
if not state then return { 'missing' } end
if state == 'cancelled' then return { 'cancelled' } end

local function again(item)
  local asset = key('a', item.key)
  local a = call('HMGET', asset, 'phase', 'made', 'parting')
  if a[1] ~= 'done' or stored_at(a[2] or call('GET', key('made', item.key)) or '') ~= item.at then return 'changed' end
  if a[3] or call('EXISTS', key('askers', item.key)) == 1 then return 'crowd' end
  -- A name that no token has, and no other time that this is made again.
  ledger('remade', item.key, item.key .. '@' .. item.at, 0, { payer = request.batch, model = item.model })
  call('DEL', key('made', item.key))
  -- Who asked for what is made is known by nobody any more: it is this batch that asks now.
  count_in(request.batch, 'done', nil)
  if not set(item.spec) then
    call('HDEL', asset, 'made', 'phase', 'attempts', 'unknowns', 'bad', 'unsent', 'going', 'removed', 'gone', 'counted')
    return 'forgotten'
  end
  call('HDEL', asset, 'made', 'attempts', 'unknowns', 'bad', 'unsent', 'going')
  call('SET', key('s', item.key), item.spec)
  call('HSET', asset, 'phase', 'ready', 'route', item.route, 'ceiling', item.ceiling, 'batch', request.batch, 'row', item.row)
  if item.tokens ~= '0' then call('HSET', asset, 'tokens', item.tokens) end
  add_route(request.batch, item.route)
  enqueue(item.key, item.route, request.batch)
  event('remade', item.key, request.batch)
  return 'queued'
end

local became, queued = {}, false
for n, item in ipairs(request.items) do
  became[n] = again(item)
  queued = queued or became[n] == 'queued'
end
if queued then wake() end
return became
