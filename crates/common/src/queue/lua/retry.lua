-- Makes failed or parked assets ready again, or takes them off the list of failures.
-- ARGV[1]  {keys, action: "retry"|"discard"}; at most 500
-- Returns  how many changed
-- Complexity O(keys * log(queue))

local changed = 0
for _, asset in ipairs(request.keys) do
  local phase = call('HGET', key('a', asset), 'phase')
  if phase == 'failed' or phase == 'parked' then
    if request.action == 'discard' then
      changed = changed + call('ZREM', key('failures'), asset)
    elseif revive(asset, phase) then
      changed = changed + 1
    end
  end
end
if changed > 0 and request.action == 'retry' then wake() end
return changed
