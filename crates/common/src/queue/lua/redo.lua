-- Gives the lines of a batch that have an asset another take of it, or takes them back to an earlier one. The asset stays
-- as it is, for whoever else asked for it. redos:BATCH has, by the asset that was asked for, the takes in their order;
-- swaps:BATCH has the one that stands, as it has what stands in for a failure.
-- ARGV[1]  {batch, asked, row, from, to: {key, model, spec, route, ceiling, tokens, made?}, most, back?, free?, epoch?, looked?}: asked: what
--          was submitted; from: what the caller saw standing; most: so many takes at most; back: `to` is an earlier one; free: the
--          caller found `to` made; epoch, looked: in which the caller looked, and when, µs
-- Returns  "ok" | "again" (it stands already) | "changed" (another one stands than `from`) | "unmade" (what stands, or an
--          earlier one that is to stand, is not made) | "ended" (`to` failed, for others) | "busy" (a request for it is out,
--          or some who ask have not heard yet) | "most" | "taken" (the batch asks for `to` in another place, or for `from` in
--          more than one) | "late" (past its deadline) | "older" (an older version works in the namespace) | "forgot" (Redis has
--          another epoch) | "gone" (the image of `to` was removed since the caller saw it) | "missing" or "cancelled" of the batch; nothing is written but with "ok"
-- Complexity O(takes * log(queue))

if not has_lists() then return 'older' end
if has_forgotten() then return 'forgot' end

local batch, asked, to = request.batch, request.asked, request.to.key
local name, swaps, redos = key('batch', batch), key('swaps', batch), key('redos', batch)
local b = call('HMGET', name, 'state', 'deadline', 'expired', 'doubled')
if not b[1] then return 'missing' end
local from = instead_of(batch, asked) or asked
if from == to then return 'again' end
if from ~= request.from then return 'changed' end

local was = call('HMGET', key('a', from), 'phase', 'parting', 'attempts', 'counting', 'removed', 'counted', 'batch')
-- What was removed is still counted as done, also where others have it made again.
local asks = was[7] == batch or call('ZSCORE', key('askers', from), batch)
local counts = was[6] and not asks and (b[1] ~= 'cancelled' or set(b[3]))
if not was[1] and was[5] or counts then was[1] = 'done' end
local is = call('HMGET', key('a', to), 'phase', 'parting', 'batch', 'counting')
-- What is made costs nothing and is not sent: a batch that has ended may have it, too.
if is[1] ~= 'done' then
  if set(b[3]) or set(b[2]) and num(b[2]) <= NOW then return 'late' end
  if b[1] == 'cancelled' then return 'cancelled' end
end

local takes, place = {}, {}
local function put(take)
  if place[take] then return end
  takes[#takes + 1] = take
  place[take] = #takes
end
for take in string.gmatch(call('HGET', redos, asked) or '', '%S+') do put(take) end
if from ~= asked and call('HGET', key('a', asked), 'phase') == 'done' then put(asked) end
-- What stands may have come by a failure.
put(from)

-- Whether some of those who ask for an asset may not have counted how it ended.
local function untold(asset) return askers(asset).more and call('EXISTS', key('work')) == 1 end

local OUT = { claimed = true, sent = true, received = true, orphan = true }
if was[2] or is[2] or was[4] or is[4] or OUT[was[1]] then return 'busy' end
local known = place[to] or to == asked
if request.back and not known then return 'unmade' end
if (request.back or known) and is[1] ~= 'done' then return 'unmade' end
if not request.back and was[1] ~= 'done' then return 'unmade' end
if is_void(request.to) then return 'gone' end
-- It was to cost nothing. What is being made may be in the store already.
if request.free and OUT[is[1]] then return 'busy' end
if request.free and is[1] ~= 'done' and (is[1] or not set(request.to.made)) then return 'gone' end
if is[1] ~= 'done' then
  if ENDED[is[1]] then return 'ended' end
  if is[3] == batch or call('ZSCORE', key('askers', to), batch) then return 'taken' end
end
-- Another line of the batch may have something else in its place, or stand on what is left here.
if to ~= asked and call('HEXISTS', swaps, to) == 1 then return 'taken' end
if was[1] ~= 'done' then
  if num(b[4]) > 0 then return 'taken' end
  if untold(from) then return 'busy' end
end
if not known and #takes >= request.most or hops_to(batch, asked) >= MAX_HOPS then return 'most' end

-- What stood is not counted any more. One that is not made is not asked for either.
if ENDED[was[1]] then count_in(batch, was[1], nil) end
if was[1] ~= 'done' then
  leave(from, batch)
  parted(from)
  -- One that was never sent is none that the line has had.
  if was[1] == 'ready' and num(was[3]) == 0 then table.remove(takes, place[from]) end
end
bring(request.to)
if not known or not place[to] then takes[#takes + 1] = to end
call('HSET', redos, asked, table.concat(takes, ' '))
if to == asked then
  call('HDEL', swaps, asked)
else
  call('HSET', swaps, asked, to, 'hops:' .. to, int(math.max(hops_to(batch, to), hops_to(batch, asked) + 1)))
end
-- Lines that come again look into swaps:BATCH first.
call('HSET', name, 'redone', 1)
ask_for(batch, request.row, to)
event('redone', to, batch)
wake()
return 'ok'
