-- Gives the lines of a batch that have an asset another take of it, or takes them back to an earlier one. The asset stays
-- as it is, for whoever else asked for it. redos:BATCH has, by the asset that was asked for, the takes in their order, and by
-- `<` and a take what was asked for; swaps:BATCH the one that stands.
-- ARGV[1]  {batch, asked, row, from, to: {key, model, spec, route, ceiling, tokens, made?}, most, back?}: asked: what was
--          submitted; from: what the caller saw standing; most: so many takes at most; back: `to` is an earlier one
-- Returns  "ok" | "again" (it stands already) | "changed" (another one stands than `from`) | "unmade" (what stands, or
--          going back what is to stand, is not made) | "busy" (a request for it is out) | "most" | "taken" (the batch asks
--          for `to` already) | "missing" or "cancelled" of the batch; nothing is written but with "ok"
-- Complexity O(takes * log(queue))

local batch, asked, to = request.batch, request.asked, request.to.key
local name, swaps, redos = key('batch', batch), key('swaps', batch), key('redos', batch)
local state = call('HGET', name, 'state')
if not state then return 'missing' end
if state == 'cancelled' then return 'cancelled' end
-- What stands in may have something else in its place again.
local from = asked
for _ = 1, 8 do
  local following = call('HGET', swaps, from)
  if not following then break end
  from = following
end
if from == to then return 'again' end
if from ~= request.from then return 'changed' end

local takes, known = {}, false
for take in string.gmatch(call('HGET', redos, asked) or from, '%S+') do
  takes[#takes + 1] = take
  known = known or take == to
end
local was = call('HMGET', key('a', from), 'phase', 'parting')
local is = call('HMGET', key('a', to), 'phase', 'parting', 'batch')
if was[2] or is[2] then return 'busy' end
if request.back then
  if was[1] == 'claimed' or was[1] == 'sent' or was[1] == 'received' or was[1] == 'orphan' then return 'busy' end
  if not known or is[1] ~= 'done' then return 'unmade' end
else
  if was[1] ~= 'done' then return 'unmade' end
  if not known and #takes >= request.most then return 'most' end
  if is[1] ~= 'done' and (is[3] == batch or call('ZSCORE', key('askers', to), batch)) then return 'taken' end
end

-- What stood is not counted any more. One that is not made is not asked for either.
if ENDED[was[1]] then count_in(batch, was[1], nil) end
if was[1] ~= 'done' then
  leave(from, batch)
  parted(from)
end
bring(request.to)
if not known then takes[#takes + 1] = to end
call('HSET', redos, asked, table.concat(takes, ' '), '<' .. to, asked)
if to ~= asked then call('HSET', swaps, asked, to) end
call('HDEL', swaps, to)
-- Lines that come again look into swaps:BATCH first.
call('HSET', name, 'redone', 1)
ask_for(batch, request.row, to)
event('redone', to, batch)
wake()
return 'ok'
