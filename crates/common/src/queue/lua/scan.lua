-- Looks through a part of the namespace for done assets that are old.
-- ARGV[1]  {cursor, count, upto}: cursor: "0" to begin with; upto: ms since 1970
-- Returns  {the next cursor, "0" at the end; how many done assets came by; {key, ms, ...} of those that were stored at `upto` or
--          before; {key, ...} of what stands in for something that failed}
-- Complexity O(count)

local prefix = key('a', '')
local page = call('SCAN', request.cursor, 'MATCH', prefix .. '*', 'COUNT', request.count)
local done, old, others = 0, {}, {}
for _, name in ipairs(page[2]) do
  local asset = string.sub(name, #prefix + 1)
  local phase = call('HGET', name, 'phase')
  if phase == 'done' then
    done = done + 1
    local at = stored_at(asset, hash(name))
    if at and at <= num(request.upto) then old[#old + 1], old[#old + 2] = asset, int(at) end
  elseif phase == 'failed' or phase == 'substituted' or phase == 'parked' then
    for field, other in pairs(hash(name)) do
      if string.find(field, '^sub:') then others[#others + 1] = other end
    end
  end
end
return { page[1], done, old, others }
