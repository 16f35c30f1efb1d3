
-- Learning ----------------------------------------------------------------
--
-- What refusals, failures and headers say of a lane, for all workers at once.

local REFUSED_FOR = 15 * 60 * MILLION
local FAULTS, FAULTY_FOR, FAULTS_FORGOTTEN = 5, 5 * MILLION, 900 * MILLION
local FIRST_BREAK, LONGEST_BREAK = 10 * MILLION, 600 * MILLION

-- The dimension that a refusal names. One that was never told of is taken up with the limit that was stated;
-- where none is named it is the tightest that makes sense.
local function refused_dimension(lane, r)
  -- A server that was wiped knows no limits yet: a worker declares them first.
  if not lane.dims then return nil end
  local wanted = set(r.dimension) and { r.dimension } or { 'images', 'requests', 'tokens' }
  for _, name in ipairs(wanted) do
    for _, d in ipairs(lane.dimensions) do
      if d.name == name then return d end
    end
  end
  if not set(r.dimension) or num(r.limit) <= 0 then return nil end
  local daily = string.find(r.dimension, '_per_day', 1, true)
  local window = daily and DAY or num(lane.window)
  if window <= 0 then return nil end
  call('HSET', key('lane', lane.name), 'dims', (lane.dims or '') .. ' ' .. r.dimension, 'limit:' .. r.dimension, r.limit,
    'window:' .. r.dimension, int(window), 'burst:' .. r.dimension, int(daily and window or window / BURST_PARTS))
  local all = lane_of(lane.name).dimensions
  lane.dimensions[#lane.dimensions + 1] = all[#all]
  return all[#all]
end

local function wait_of(d, r)
  if set(r.wait) then return num(r.wait) end
  if num(r.used) > 0 and num(r.limit) > 0 then
    return math.max(0, (num(r.used) + num(r.requested) - num(r.limit)) / num(r.limit) * d.window)
  end
  return d.step
end

-- The part of the limit that is ours, now that the bucket is known to be full.
local function part_left(d, r, limit)
  if r.slow_down then return d.pace / 2 end
  if limit ~= d.limit then return 1 end
  local most = num(r.limit) > 0 and math.min(1, d.pace) or d.pace
  if d.full > 0 then
    local taken = d.given - math.max(0, (d.tat - d.burst - NOW) / d.step) + math.max(1, num(r.requested))
    return math.min(most, math.max(taken * d.window / math.max(1, NOW - d.full) / limit, d.pace / 2))
  end
  -- Nobody stated the limit, and a guess of it was exceeded on purpose.
  if most > 1 then return most * 0.7 end
  return most * 0.95
end

-- Refusals without an image between them count on, unless nothing was asked meanwhile.
local function refused_for_long(lane, wait)
  local name = key('lane', lane.name)
  if NOW > num(lane.refused_until) then
    lane.refused_since = int(NOW)
    call('HSET', name, 'refused_since', lane.refused_since)
  end
  call('HSET', name, 'refused_until', int(NOW + wait + 2 * math.max(num(lane.window), 60 * MILLION)))
  if num(lane.refused_since) < NOW - REFUSED_FOR then
    call('HSET', name, 'pause_until', int(NOW + REFUSED_FOR), 'pause_reason', 'refused for 15 minutes without an image')
    call('HDEL', name, 'refused_since', 'refused_until')
  end
end

-- Refused by a limit that the lane does not have: it rests as long as was said, and longer each time.
local function rest_lane(lane, r)
  local times = call('HINCRBY', key('lane', lane.name), 'rests', 1)
  local wait = math.max(MILLION, num(r.wait)) * 2 ^ math.min(times - 1, 6)
  refused_for_long(lane, wait)
  if NOW + wait > math.max(num(lane.pause_until), num(call('HGET', key('lane', lane.name), 'pause_until'))) then
    call('HSET', key('lane', lane.name), 'pause_until', int(NOW + wait), 'pause_reason', r.message or '')
  end
end

-- A request was refused: the permits start anew from what the refusal says.
local function refused(lane, r)
  if not set(r.dimension) then r.limit, r.used, r.requested = nil, nil, nil end
  local d = refused_dimension(lane, r)
  if not d then return rest_lane(lane, r) end
  local wait = wait_of(d, r)
  refused_for_long(lane, wait)
  if d.window < DAY and num(r.epoch) ~= lane.epoch then
    -- Sent before the last refusal was known: it says nothing new but when to go on.
    d.tat, d.dirty = math.max(d.tat, NOW + wait + d.burst), true
    return save(lane)
  end
  local limit = num(r.limit) > 0 and math.min(num(r.limit), d.most) or d.limit
  if d.window < DAY then
    d.base = math.max(0.01, part_left(d, r, limit))
    d.full = r.slow_down and 0 or NOW
    d.since, d.given = NOW, 0
  end
  d.learnt = limit ~= d.limit
  d.limit = limit
  pace(d)
  local calm = d.window < DAY and math.max(1, num(r.requested), d.limit / CALM) * d.step or 0
  d.tat, d.dirty = NOW + wait + d.burst + calm, true
  save(lane)
  new_epoch(lane)
end

-- A limit as headers state it, by a request sent after the last change.
local function stated(lane, name, limit, epoch)
  for _, d in ipairs(lane.dimensions) do
    if d.name == name and limit > 0 and num(epoch) == lane.epoch then
      if not d.stated then call('HSET', key('lane', lane.name), 'stated:' .. name, 1) end
      limit = math.min(limit, d.most)
      if limit ~= d.limit then
        d.limit, d.base, d.since, d.full, d.given, d.learnt = limit, 1, NOW, 0, 0, true
        d.tat, d.dirty = math.min(d.tat, NOW + d.burst), true
        return true
      end
    end
  end
  return false
end

-- The API or the way to it failed. Many times in a row, and the lane rests; then one request finds out. What was
-- sent before the rest says nothing of the time after it.
local function faulty(lane, reason, epoch)
  if set(lane.broken) and num(epoch) ~= lane.epoch then return end
  local name = key('lane', lane.name)
  if num(lane.fault_at) < NOW - FAULTS_FORGOTTEN then
    call('HDEL', name, 'faults')
    lane.fault_since = int(NOW)
    call('HSET', name, 'fault_since', lane.fault_since)
  end
  local faults = call('HINCRBY', name, 'faults', 1)
  call('HSET', name, 'fault_at', int(NOW))
  local since = num(lane.fault_since)
  if faults < FAULTS or NOW - since < FAULTY_FOR or num(lane.pause_until) > NOW then return end
  local rest = math.min(FIRST_BREAK * 2 ^ math.min(num(lane.breaks), 10), LONGEST_BREAK)
  call('HSET', name, 'broken', int(NOW + rest), 'breaks', int(num(lane.breaks) + 1), 'pause_until', int(NOW + rest),
    'pause_reason', 'failed ' .. faults .. ' times in a row: ' .. reason)
  new_epoch(lane)
end

-- An image came: whatever stopped the lane by failing is over.
local function healed(lane)
  local name = key('lane', lane.name)
  if set(lane.broken) and lane.broken == lane.pause_until then call('HDEL', name, 'pause_until', 'pause_reason') end
  call('HDEL', name, 'faults', 'fault_since', 'fault_at', 'broken', 'breaks', 'probe', 'refused_since', 'refused_until', 'rests')
end

