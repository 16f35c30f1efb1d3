
-- Limiter -----------------------------------------------------------------
--
-- Per lane and dimension D, in lane:NAME: told:D as configured or ordered:D by hand, settings:D what to go back to
-- then, limit:D as believed, window:D and burst:D in µs,
-- tat:D until when permits are given out, base:D the part of the limit that is ours in millionths, since:D when that
-- was found, full:D when a refusal last showed the provider's bucket full, given:D permits given since. With
-- stated:D the limit was read from headers. at:D is when all that was written last. epoch counts what was learnt: permits of an older one are void.
--
-- Between two moments at which the bucket is full, the provider took in exactly what it can: what was given in
-- that time is the pace to go on with. A pace found so rises again, slowly first: others may have gone.

local MILLION = 1000000
local DAY = 86400 * MILLION
local RECOVERY = 0.001 -- of the limit, times the windows since the last refusal squared
local PROBE_AFTER = 1.5 -- windows used whole, without a refusal, before a guess is exceeded
local PROBE_IMAGES = 130 -- and so many permits
local PROBE_GROWTH, PROBE_STEP = 1.5, 0.25 -- then the pace grows by this factor every so many windows
local MOST_PACE = 64
local BURST_PARTS = 120 -- of a window that may go out at once: half a second of a minute
local CALM = 120 -- a refused bucket is left with one part of so many of its limit free

local function pace_of(d)
  local windows = math.max(0, NOW - d.since) / d.window
  local pace = d.base
  if pace < 1 then pace = math.min(1, pace + RECOVERY * windows * windows) end
  if d.limit < d.most and not d.stated then
    -- By use and not by time alone: a lane that was hardly used has found nothing out.
    local over = math.min(windows, d.given / d.limit) - math.max(PROBE_AFTER, PROBE_IMAGES / d.limit)
    if over > 0 then pace = math.max(pace, 1) * PROBE_GROWTH ^ math.min(over / PROBE_STEP, 20) end
  end
  return math.min(pace, MOST_PACE, d.most / d.limit)
end

local function pace(d)
  d.pace = d.window >= DAY and 1 or pace_of(d)
  d.step = d.window / (d.limit * d.pace)
end

local function dimension_of(lane, name)
  local function field(kind) return num(lane[kind .. ':' .. name]) end
  local told, window = field('told'), field('window')
  local d = { name = name, limit = field('limit'), told = told, window = window, burst = field('burst'),
    base = field('base') / MILLION, since = field('since'), full = field('full'), given = field('given'),
    stated = set(lane['stated:' .. name]), tat = field('tat'),
    most = (lane.kind == 'fixed' or set(lane['ordered:' .. name])) and told > 0 and told or math.huge }
  if d.limit <= 0 or window <= 0 then return nil end
  -- Claims change none of these as a rule: what stays as it was is not written again.
  d.kept = { since = d.since, base = field('base'), full = d.full }
  -- The clock went back since that was written: what lay ahead of it then lies as far ahead now.
  local leap = field('at') - NOW
  if leap > MILLION then
    d.tat, d.since, d.full, d.dirty = d.tat - leap, math.max(0, d.since - leap), math.max(0, d.full - leap), true
  end
  if d.base <= 0 then d.base = 1 end
  if d.since <= 0 then d.since = NOW end
  pace(d)
  return d
end

-- A lane's limits and how far its permits are given out.
local function lane_of(name)
  local lane = hash(key('lane', name))
  lane.name, lane.dimensions, lane.epoch = name, {}, num(lane.epoch)
  for d in string.gmatch(lane.dims or '', '%S+') do
    lane.dimensions[#lane.dimensions + 1] = dimension_of(lane, d)
  end
  return lane
end

-- A lane with one of its dimensions, for less than all of it.
local FIELDS = { 'told', 'limit', 'window', 'burst', 'tat', 'at', 'base', 'since', 'full', 'given', 'stated' }
local function lane_with(name, dimension)
  local names = { 'kind', 'epoch' }
  for i, field in ipairs(FIELDS) do names[i + 2] = field .. ':' .. dimension end
  local values = call('HMGET', key('lane', name), unpack(names))
  local lane = { name = name, kind = values[1] or nil, epoch = num(values[2]) }
  for i = 3, #names do lane[names[i]] = values[i] or nil end
  lane.dimensions = { dimension_of(lane, dimension) }
  return lane
end

-- What an asset takes of a dimension.
local function quantity(d, tokens)
  if string.sub(d.name, 1, 6) == 'tokens' then return tokens end
  return 1
end

local function pause_of(lane)
  if set(lane.paused) then return math.huge end
  return num(lane.pause_until)
end

-- The first moment at which a request may go out.
local function slot_for(lane, tokens)
  local slot = math.max(NOW, pause_of(lane))
  for _, d in ipairs(lane.dimensions) do
    if quantity(d, tokens) > 0 then slot = math.max(slot, d.tat - d.burst) end
  end
  return slot
end

-- After a rest the bucket is no longer known to be full.
local function rested(d)
  d.base, d.since, d.full, d.given = math.min(1, d.pace), NOW, 0, 0
  pace(d)
end

local function charge(lane, tokens, slot)
  for _, d in ipairs(lane.dimensions) do
    local q = quantity(d, tokens)
    if q > 0 then
      if d.tat < NOW - d.window / 4 then rested(d) end
      d.tat, d.given = math.max(d.tat, slot) + d.step * q, d.given + q
      d.dirty = true
    end
  end
end

-- Gives a permit back, unless what was learnt since has voided it.
local function refund(lane, tokens, epoch)
  if num(epoch) ~= lane.epoch then return end
  for _, d in ipairs(lane.dimensions) do
    local q = quantity(d, tokens)
    if q > 0 then
      d.tat, d.given = d.tat - d.step * q, math.max(0, d.given - q)
      d.dirty = true
    end
  end
end

-- An image took more or fewer tokens than was thought.
local function settle_tokens(lane, more, epoch)
  if num(epoch) ~= lane.epoch then return end
  for _, d in ipairs(lane.dimensions) do
    if d.name == 'tokens' then
      d.tat, d.given, d.dirty = d.tat + d.step * more, math.max(0, d.given + more), true
    end
  end
end

local function save(lane)
  local fields = {}
  local function add(d, kind, value)
    fields[#fields + 1] = kind .. ':' .. d.name
    fields[#fields + 1] = int(value)
  end
  for _, d in ipairs(lane.dimensions) do
    if d.dirty then
      add(d, 'tat', d.tat)
      add(d, 'at', NOW)
      add(d, 'given', d.given)
      if d.since ~= d.kept.since then add(d, 'since', d.since) end
      if d.base * MILLION ~= d.kept.base then add(d, 'base', d.base * MILLION) end
      if d.full ~= d.kept.full then add(d, 'full', d.full) end
    end
    if d.learnt then add(d, 'limit', d.limit) end
  end
  if fields[1] then call('HSET', key('lane', lane.name), unpack(fields)) end
end

-- Voids the permits given so far: who holds one is given another before sending.
local function new_epoch(lane)
  lane.epoch = lane.epoch + 1
  call('HSET', key('lane', lane.name), 'epoch', int(lane.epoch))
end

-- Gives an unsent asset back: reservation, permit and place in the queue.
local function give_back(asset, token)
  local a = call('HMGET', key('a', asset), 'tokens', 'epoch')
  local held = free(token, asset)
  if held then
    local lane = lane_of(held.lane)
    refund(lane, num(a[1]), a[2])
    save(lane)
  end
  requeue(asset)
end

