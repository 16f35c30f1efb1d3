
-- Failures ----------------------------------------------------------------
--
-- `failures` has every failed and parked asset by time. `listed` has the same, and failed:KIND:NAME its part of one group,
-- class, model, lane, batch or tenant, so that nobody has to look through all; `causes` counts each group. Only here
-- are they written. While an older version works in the namespace they stay as they are, since it would not keep them
-- right; what it left is listed by the reaper.

-- Whether the namespace has this layout. A new one has it before a worker has said so.
local function has_lists()
  return layout == LAYOUT or layout == 0 and call('GET', key('schema')) == tostring(LAYOUT)
end

local function told_of(asset)
  local text = call('GET', key('failure', asset))
  if not text then return {} end
  local good, failure = pcall(cjson.decode, text)
  return good and type(failure) == 'table' and failure or {}
end

local function text_of(value) return type(value) == 'string' and value or '' end

-- Parked assets are never in one group with others: they may be paid for.
local function group_of(failure, phase)
  local print = text_of(failure.fingerprint)
  local group = print ~= '' and print or 'unsorted-' .. text_of(failure.class)
  return phase == 'parked' and group .. '-parked' or group
end

local function enlist_in(asset, batch, at)
  call('ZADD', key('failed', 'batch', batch), at, asset)
  local tenant = call('HGET', key('batch', batch), 'tenant')
  if tenant then call('ZADD', key('failed', 'tenant', tenant), at, asset) end
end

local function delist_in(asset, batch)
  call('ZREM', key('failed', 'batch', batch), asset)
  local tenant = call('HGET', key('batch', batch), 'tenant')
  if tenant then call('ZREM', key('failed', 'tenant', tenant), asset) end
end

local function count_group(group)
  local count = call('ZCARD', key('failed', 'group', group))
  if count > 0 then call('ZADD', key('causes'), count, group) else call('ZREM', key('causes'), group) end
end

local function enlist(asset, phase, at)
  if not has_lists() then return end
  local failure = told_of(asset)
  local group = group_of(failure, phase)
  at = int(num(at))
  call('ZADD', key('listed'), at, asset)
  call('ZADD', key('failed', 'group', group), at, asset)
  for _, kind in ipairs({ 'class', 'model', 'lane' }) do
    call('ZADD', key('failed', kind, text_of(failure[kind])), at, asset)
  end
  count_group(group)
  local list = askers(asset)
  for _, batch in ipairs(list) do enlist_in(asset, batch, at) end
  rest(asset, list, { kind = 'list' })
end

-- Puts an asset that has just ended so among the failures.
local function list_failure(asset, phase)
  call('ZADD', key('failures'), int(NOW), asset)
  enlist(asset, phase, NOW)
end

-- Takes an asset off the failures; to be called while its failure and who asks for it are still known. Returns 1 where
-- it was one.
local function unlist_failure(asset)
  local was = call('ZREM', key('failures'), asset)
  if call('ZREM', key('listed'), asset) == 0 then return was end
  local failure = told_of(asset)
  for _, kind in ipairs({ 'class', 'model', 'lane' }) do
    call('ZREM', key('failed', kind, text_of(failure[kind])), asset)
  end
  for _, phase in ipairs({ 'failed', 'parked' }) do
    local group = group_of(failure, phase)
    if call('ZREM', key('failed', 'group', group), asset) == 1 then count_group(group) end
  end
  local list = askers(asset)
  for _, batch in ipairs(list) do delist_in(asset, batch) end
  rest(asset, list, { kind = 'list' })
  return was
end

-- Has the lists of a batch that asks for an asset say what is so now.
local function list_for(asset, batch)
  local at = call('ZSCORE', key('listed'), asset)
  if at then enlist_in(asset, batch, int(num(at))) else delist_in(asset, batch) end
end

-- A batch does not ask for an asset any more; others of its tenant may.
local function unlist_for(asset, batch)
  if call('ZREM', key('failed', 'batch', batch), asset) == 0 then return end
  local tenant, list = call('HGET', key('batch', batch), 'tenant'), askers(asset)
  if not tenant or list.more then return end
  for _, other in ipairs(list) do
    if other ~= batch and call('HGET', key('batch', other), 'tenant') == tenant then return end
  end
  call('ZREM', key('failed', 'tenant', tenant), asset)
end

-- Lists some of the failures that an older version left, from the oldest on.
local function list_older()
  if not has_lists() or call('ZCARD', key('failures')) == call('ZCARD', key('listed')) then return end
  local from = call('HGET', key('meta'), 'listing') or '-inf'
  -- More than one script gives the same time.
  local page = call('ZRANGEBYSCORE', key('failures'), from, '+inf', 'WITHSCORES', 'LIMIT', 0, 600)
  for i = 1, #page, 2 do
    if not call('ZSCORE', key('listed'), page[i]) then
      enlist(page[i], call('HGET', key('a', page[i]), 'phase'), page[i + 1])
    end
  end
  if #page < 1200 then
    call('HDEL', key('meta'), 'listing')
  else
    call('HSET', key('meta'), 'listing', int(num(page[#page])))
  end
end

-- Makes a failed or parked asset ready again, at once or when it is due, with attempts and doubts counted anew; false
-- while some who ask have not heard yet how it ended, and where none of them may have it sent any more.
local function revive(asset, phase, due)
  if call('HEXISTS', key('a', asset), 'parting') == 1 or too_late(asset, due) then return false end
  unlist_failure(asset)
  count(asset, phase, 'ready')
  call('DEL', key('failure', asset))
  call('HDEL', key('a', asset), 'attempts', 'unknowns', 'bad', 'unsent')
  requeue(asset, due)
  return true
end

-- An attempt's failure, with those of the attempts before it: the last ten. A refusal by a rate limit is no attempt; what
-- comes after it has its number.
local function with_earlier(text, asset)
  local earlier = told_of(asset)
  if text_of(earlier.class) == '' then return text end
  local failure = cjson.decode(text)
  local list = type(earlier.before) == 'table' and earlier.before or {}
  if num(earlier.attempt) ~= num(failure.attempt) then
    earlier.before, earlier.message, earlier.fingerprint = nil, nil, nil
    list[#list + 1] = earlier
    if #list > 10 then table.remove(list, 1) end
  end
  if #list == 0 then return text end
  failure.before = list
  return cjson.encode(failure)
end
