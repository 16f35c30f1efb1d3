-- Looks through a part of the namespace for done assets that are old.
-- ARGV[1]  {cursor, count, upto}: cursor: "0" to begin with; upto: ms since 1970
-- Returns  {the next cursor, "0" at the end; how many done assets came by; {key, ms, ...} of those that were stored at `upto` or
--          before; {key, ...} of what stands in for something that failed}
-- Complexity O(count)

local prefix, upto = key('a', ''), num(request.upto)
local page = call('SCAN', request.cursor, 'MATCH', prefix .. '*', 'COUNT', request.count)
local done, old, others = 0, {}, {}
for _, name in ipairs(page[2]) do
  local asset = string.sub(name, #prefix + 1)
  local a = call('HMGET', name, 'phase', 'made', 'parting', 'counting', 'unknowns')
  local phase = a[1]
  if phase == 'done' then
    done = done + 1
    -- One that must stay for now is not looked at further; `retire` looks at all of it.
    local at = not (a[3] or a[4] or a[5]) and stored_at(asset, a[2])
    if at and at <= upto then old[#old + 1], old[#old + 2] = asset, int(at) end
  elseif phase == 'failed' or phase == 'substituted' or phase == 'parked' then
    for field, other in pairs(hash(name)) do
      if string.find(field, '^sub:') then others[#others + 1] = other end
    end
  end
end
return { page[1], done, old, others }
