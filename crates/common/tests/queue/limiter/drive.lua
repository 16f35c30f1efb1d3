-- A fleet that always has work, the limiter, and a provider that is a bucket as deep as its window: all in the time
-- that this file makes up.
-- ARGV[2]  {told, kind, window: s, changes: [[at in windows, limit]], foreign, quantum?: s, charge_refusals, headers, silent,
--           windows, measure: [[from, to] in windows], late: s, round_trip: s, seed}
-- Returns  JSON {utilisation: [of each measured span], refused, requests, most: largest number accepted in any window}
local case = cjson.decode(ARGV[2])
local WINDOW, SECOND, HORIZON = case.window * 1000000, 1000000, 1000000
math.randomseed(case.seed)
local LANE = 'drive'

-- The provider --------------------------------------------------------------
local bucket = { level = 0, at = 0 }
local function limit_at(at)
  local limit
  for _, change in ipairs(case.changes) do
    if at >= change[1] * WINDOW then limit = change[2] end
  end
  return limit
end
local function ask(at)
  local limit = limit_at(at)
  local depth = math.max(1, limit * math.min(1, (case.quantum or case.window) / case.window))
  bucket.level = math.min(depth, math.max(0, bucket.level - (at - bucket.at) * limit * (1 - case.foreign) / WINDOW))
  bucket.at = at
  if bucket.level + 1 <= depth + limit / WINDOW * 1000 then
    bucket.level = bucket.level + 1
    return true, limit
  end
  local used = math.ceil(limit - depth + bucket.level - 0.000001)
  if case.charge_refusals then bucket.level = math.min(depth, bucket.level + 1) end
  return false, limit, used
end

-- The fleet -----------------------------------------------------------------
local START = 1000000000
local now, waiting, answers = 0, {}, {}
local accepted, refusals = {}, 0
local latency = 2 * SECOND

local function clock(at) NOW = START + at end

local function settle(upto)
  while answers[1] and answers[1].at <= upto do
    local a = table.remove(answers, 1)
    clock(a.at)
    if a.refusal then
      refused(lane_of(LANE), a.refusal)
    else
      local lane = lane_of(LANE)
      if stated(lane, 'images', a.limit, a.epoch) then
        save(lane)
        new_epoch(lane)
      end
    end
  end
end

local function answer(entry)
  local place = #answers + 1
  while place > 1 and answers[place - 1].at > entry.at do place = place - 1 end
  table.insert(answers, place, entry)
end

local function send(w)
  settle(w.at)
  clock(w.at)
  local lane = lane_of(LANE)
  if w.epoch ~= lane.epoch then
    local slot = slot_for(lane, 0)
    charge(lane, 0, slot)
    save(lane)
    return { at = slot - START + math.random() * case.late * SECOND, epoch = lane.epoch }
  end
  local ok, limit, used = ask(w.at)
  if ok then
    accepted[#accepted + 1] = w.at
    if case.headers then answer({ at = w.at + latency, limit = limit, epoch = lane.epoch }) end
  else
    refusals = refusals + 1
    local r = { epoch = lane.epoch, dimension = 'images', limit = limit, used = used, requested = 1, slow_down = false }
    if case.silent then r = { epoch = lane.epoch, wait = math.max(1, (used + 1 - limit) / limit * WINDOW), slow_down = false } end
    answer({ at = w.at + case.round_trip * SECOND, refusal = r })
  end
end

local function wait_for(w)
  local place = #waiting + 1
  while place > 1 and waiting[place - 1].at > w.at do place = place - 1 end
  table.insert(waiting, place, w)
end

local TICK = 20000
while now < case.windows * WINDOW do
  settle(now)
  clock(now)
  local lane = lane_of(LANE)
  while true do
    local slot = slot_for(lane, 0)
    if slot > NOW + HORIZON then break end
    charge(lane, 0, slot)
    wait_for({ at = slot - START + math.random() * case.late * SECOND, epoch = lane.epoch })
  end
  save(lane)
  now = now + TICK
  while waiting[1] and waiting[1].at < now do
    local again = send(table.remove(waiting, 1))
    if again then wait_for(again) end
  end
end

-- The judge -----------------------------------------------------------------
local function could(from, to)
  local sum, step = 0, WINDOW / 200
  local at = from
  while at < to do
    sum = sum + limit_at(at) * (1 - case.foreign) * step / WINDOW
    at = at + step
  end
  return sum
end
local utilisation = {}
for i, span in ipairs(case.measure) do
  local from, to, count = span[1] * WINDOW, span[2] * WINDOW, 0
  for _, at in ipairs(accepted) do
    if at >= from and at < to then count = count + 1 end
  end
  utilisation[i] = count / could(from, to)
end
local most, first = 0, 1
for last = 1, #accepted do
  while accepted[last] - accepted[first] >= WINDOW do first = first + 1 end
  most = math.max(most, last - first + 1)
end
return cjson.encode({ utilisation = utilisation, refused = refusals / (refusals + #accepted), requests = refusals + #accepted, most = most })
