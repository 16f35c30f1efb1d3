-- Makes failed or parked assets ready again, or takes them off the list of failures.
-- ARGV[1]  {keys, seen?: [time], action: "retry"|"discard", due?: µs}; at most 500. With `seen`, one that failed at another time
--          than that is left alone: it was tried again since; due: when to try again
-- Returns  the keys that changed
-- Complexity O(keys * log(queue))

local changed = {}
for i, asset in ipairs(request.keys) do
  local phase = call('HGET', key('a', asset), 'phase')
  local seen = set(request.seen) and request.seen[i]
  local same = not seen or seen == int(num(call('ZSCORE', key('failures'), asset)))
  if same and (phase == 'failed' or phase == 'parked') then
    if request.action == 'discard' then
      if unlist_failure(asset) == 1 then changed[#changed + 1] = asset end
    elseif revive(asset, phase, tonumber(request.due)) then
      changed[#changed + 1] = asset
    end
  end
end
if #changed > 0 and request.action == 'retry' then wake() end
return changed
