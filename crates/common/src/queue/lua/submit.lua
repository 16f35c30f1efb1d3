-- Puts a chunk of a batch into the queue; safe to repeat, adds only what is missing.
-- ARGV[1]  {batch, tenant, band, content, source, columns, cap?, retry_failed, grace,
--           assets: [{key, row, route, spec, ceiling, tokens, made?}], lines: [{row, line}]}
-- Returns  JSON {status: "ok"|"other_content"|"cancelled", new, made, queued, failed}
-- Complexity O(assets * log(queue)); at most 500 assets and 500 lines a call

local batch = request.batch
local name = key('batch', batch)
local old = call('HMGET', name, 'content', 'state')
if old[1] and old[1] ~= request.content then return cjson.encode({ status = 'other_content' }) end
if old[2] == 'cancelled' then return cjson.encode({ status = 'cancelled' }) end

if not old[1] then
  local order = call('HINCRBY', key('meta'), 'order', 1)
  call('HSET', name, 'tenant', request.tenant, 'band', request.band, 'content', request.content,
    'source', request.source, 'columns', request.columns, 'state', 'open', 'created', int(NOW),
    'order', order, 'routes', '', 'done', 0, 'failed', 0, 'parked', 0)
  call('HSETNX', name, 'spent', 0)
  call('HSETNX', name, 'reserved', 0)
  call('ZADD', key('batches'), int(NOW), batch)
end
if set(request.cap) then
  call('HSET', name, 'cap', request.cap)
  if call('HGET', name, 'held') == 'cap' then resume(batch) end
end

local routes, known = call('HGET', name, 'routes') or '', {}
for route in string.gmatch(routes, '%S+') do known[route] = true end
for _, a in ipairs(request.assets) do
  if not known[a.route] then
    known[a.route] = true
    routes = routes == '' and a.route or routes .. ' ' .. a.route
  end
end
call('HSET', name, 'routes', routes)

local function create(a)
  call('SET', key('spec', a.key), a.spec)
  call('HSET', key('asset', a.key), 'phase', set(a.made) and 'done' or 'ready', 'route', a.route, 'ceiling', a.ceiling,
    'tokens', a.tokens, 'token', '', 'attempts', 0, 'unknowns', 0, 'batch', batch)
  if set(a.made) then call('SET', key('made', a.key), a.made) end
end

local function share(asset, first)
  if not set(first) then
    call('HSET', key('asset', asset), 'batch', batch)
  elseif first ~= batch then
    call('ZADD', key('askers', asset), 'NX', call('HINCRBY', key('meta'), 'joined', 1), batch)
    call('HSET', key('asset', asset), 'shared', 1)
  end
end

local counts = { new = 0, made = 0, queued = 0, failed = 0 }
local ready = {}
for _, a in ipairs(request.assets) do
  local fresh = call('ZADD', key('members', batch), 'NX', a.row, a.key) == 1
  local state = call('HMGET', key('asset', a.key), 'phase', 'batch')
  local phase = state[1]
  if not phase then
    create(a)
    phase = set(a.made) and 'done' or 'ready'
    counts[phase == 'done' and 'made' or 'new'] = counts[phase == 'done' and 'made' or 'new'] + 1
  else
    if call('EXISTS', key('spec', a.key)) == 0 then
      call('SET', key('spec', a.key), a.spec)
      call('HSET', key('asset', a.key), 'route', a.route, 'ceiling', a.ceiling, 'tokens', a.tokens)
    end
    if fresh then share(a.key, state[2]) end
    if ENDED[phase] and phase ~= 'done' and request.retry_failed then
      if fresh then count_in(batch, nil, phase) end
      revive(a.key, phase)
      phase, fresh = 'ready', false
      counts.queued = counts.queued + 1
    elseif phase == 'done' then
      counts.made = counts.made + 1
    elseif ENDED[phase] then
      counts.failed = counts.failed + 1
    else
      counts.queued = counts.queued + 1
    end
  end
  if ENDED[phase] then
    if fresh then count_in(batch, nil, phase) end
  elseif phase == 'ready' and not call('ZSCORE', key('later'), a.key) then
    call('ZADD', key('flow', a.route, batch), a.row, a.key)
    ready[a.route] = true
  end
end

for _, l in ipairs(request.lines) do call('HSET', key('lines', batch), l.row, l.line) end
local waiting = false
for route in pairs(ready) do
  activate(route, batch)
  waiting = true
end
if waiting then wake() end
counts.status = 'ok'
return cjson.encode(counts)
