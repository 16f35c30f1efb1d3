-- Requests of any size at any time, each given the first slot there is within a horizon, or none.
-- ARGV[2]  {horizon: µs, steps: [[µs since the one before, tokens, whether it is given back]]}
-- Returns  JSON [[slot, tokens]] of all that were granted and kept
local schedule = cjson.decode(ARGV[2])
local granted = {}
NOW = 1000000000
for i, step in ipairs(schedule.steps) do
  NOW = NOW + step[1]
  local lane = lane_of('schedule')
  local slot = slot_for(lane, step[2])
  if slot <= NOW + schedule.horizon then
    charge(lane, step[2], slot)
    if step[3] then
      refund(lane, step[2], lane.epoch)
    else
      granted[#granted + 1] = { int(slot), int(step[2]) }
    end
    save(lane)
  end
end
if not granted[1] then return '[]' end
return cjson.encode(granted)
