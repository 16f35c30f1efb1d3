
-- Removed images ----------------------------------------------------------
--
-- An asset whose image a person has removed has no phase, like one that nobody asked for, and `gone`: when that was. Where
-- batches had counted it as done, they still do (`counted`), and `removed` has what was made. Until the store was seen to have nothing of
-- it any more, the hash `removing` names it.

-- When the image of a record was stored, ms.
local function stored_at(made)
  if string.sub(made, 1, 1) == '{' then return int(num(cjson.decode(made).at_ms)) end
  return string.match(made, '^%S+ %d+ %S+ %d+ (%d+) ')
end

-- Whoever saw an image in the store before it was removed may tell of it for so long, µs. What stands there later was put back.
local LATE = 600000000

-- Whether the store may still have some of an image that is being removed: what was derived would pass for that of the next.
local function is_removing(asset)
  return call('HEXISTS', key('removing'), asset) == 1 and call('HEXISTS', key('a', asset), 'phase') == 0
end

-- Whether what somebody saw in the store is an image that was removed since, or is being removed.
local function is_gone(asset, made)
  local gone = num(call('HGET', key('a', asset), 'gone'))
  local fresh = NOW < gone + LATE or call('HEXISTS', key('removing'), asset) == 1
  return gone > 0 and fresh and num(stored_at(made)) * 1000 <= gone
end
