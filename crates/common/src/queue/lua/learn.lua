-- Takes up what an image's answer says of a lane: that it works, and the limits its headers state.
-- ARGV[1]  {lane, epoch, limits: {dimension: limit}}; epoch as it was when the request was sent
-- Returns  1 if the limits were taken up or were known, 0 if the request was too old to say
-- Complexity O(dimensions)

local lane = lane_of(request.lane)
if not lane.dims then return 0 end
if set(lane.faults) or set(lane.refused_since) then
  healed(lane)
  wake()
end
local current, changed = num(request.epoch) == lane.epoch, false
for name, limit in pairs(request.limits) do
  changed = stated(lane, name, num(limit), request.epoch) or changed
end
if changed then
  save(lane)
  new_epoch(lane)
  wake()
end
return current and 1 or 0
