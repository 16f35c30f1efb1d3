-- Gives one worker the turn to archive the ledger, and notes up to which entry it has; what is archived and old is
-- trimmed.
-- ARGV[1]  {owner, place, every, busy, hurry, profile?, done?: {from, upto, keep, over}}: how often there is a turn and how long
--          one lasts at most, µs; with hurry the next one is now; the entry before the first and the last that were
--          archived, how long entries are kept, µs, and whether the turn is over
-- Returns  JSON {turn, wait, after, epoch}: whether it is the caller's turn, else in how many µs to ask again; the last
--          archived entry
-- Complexity O(1), and O(10000) where entries are trimmed

local name, field = key('archive'), 'upto ' .. request.place
call('HSETNX', key('meta'), 'epoch', int(NOW))
local a = call('HMGET', name, 'owner', 'until', 'next', field)
local after = a[4] or '0-0'
local mine = a[1] == request.owner and num(a[2]) > NOW
local done = set(request.done) and request.done

local function answer(turn, wait)
  return cjson.encode({ turn = turn, wait = int(wait), after = after, epoch = call('HGET', key('meta'), 'epoch') })
end

-- The oldest entry that is to stay: nothing younger than `keep`, nor after what is archived.
local function oldest(upto)
  local ms = math.max(0, math.floor((NOW - num(done.keep)) / 1000))
  if ms <= num(string.match(upto, '^%d+')) then return int(ms) .. '-0' end
  return upto
end

-- The ledger of another profile belongs into another store.
if other_profile() then return answer(false, request.every) end
if done then
  -- Somebody else has it by now, or the namespace was wiped: what was written harms nobody.
  if not mine or done.from ~= after then return answer(false, request.every) end
  after = done.upto
  call('HSET', name, field, after, 'until', int(NOW + request.busy))
  call('XTRIM', key('ledger'), 'MINID', '~', oldest(after), 'LIMIT', 10000)
  if done.over then
    call('HDEL', name, 'owner', 'until')
    return answer(false, request.every)
  end
  return answer(true, 0)
end

if a[1] and not mine and num(a[2]) > NOW and num(a[2]) <= NOW + request.busy then return answer(false, math.min(num(a[2]) - NOW, request.every)) end
local due = num(a[3])
if due > NOW + request.every then due = NOW end
if due > NOW and not request.hurry then return answer(false, due - NOW) end
call('HSET', name, 'owner', request.owner, 'until', int(NOW + request.busy), 'next', int(NOW + request.every))
return answer(true, 0)
